/** Colours for code: comments, strings, numbers, keywords and calls, in any of the usual languages. */

const WORDS = `abstract and as assert async await break case catch class const continue def default defer del do elif else end enum
  except export extends extern false final finally fn for from func function global go if impl implements import in interface is
  lambda let loop match mod mut namespace new nil None nonlocal not null operator or package pass private protected pub public
  raise range return select self static struct super switch then this throw trait True False true try type typedef typeof
  undefined union unsafe use using val var void where while with yield
  SELECT FROM WHERE INSERT INTO VALUES UPDATE SET DELETE CREATE TABLE INDEX JOIN LEFT RIGHT INNER OUTER ON GROUP BY ORDER LIMIT
  HAVING UNION AND OR NOT NULL PRIMARY KEY REFERENCES AS DISTINCT BEGIN COMMIT ROLLBACK`;
const KEYWORDS = new Set(WORDS.split(/\s+/));

const HASH =
  /^(py|python|sh|bash|shell|zsh|console|yaml|yml|toml|ruby|rb|perl|r|make|makefile|dockerfile|elixir|ini|nix)$/;
const DASH = /^(sql|lua|haskell|hs|elm|ada|plpgsql)$/;
const NONE = /^(|text|txt|plain|plaintext|markdown|md|csv|log|diff)$/;

const COMMENT = {
  hash: '#[^\\n]*',
  dash: '--[^\\n]*',
  slash: '//[^\\n]*|/\\*[\\s\\S]*?(?:\\*/|$)|<!--[\\s\\S]*?(?:-->|$)',
};
const STRING =
  '"""[\\s\\S]*?(?:"""|$)|\'\'\'[\\s\\S]*?(?:\'\'\'|$)|`(?:\\\\.|[^`\\\\])*`?|"(?:\\\\.|[^"\\\\\\n])*"?|\'(?:\\\\.|[^\'\\\\\\n])*\'?';
const NUMBER = '\\b(?:0[xXbBoO][\\da-fA-F_]+|\\d[\\d_]*(?:\\.\\d+)?(?:[eE][+-]?\\d+)?)\\b';
const WORD = '[A-Za-z_$][\\w$]*';

/** Replace the text of `code` by the same text in coloured spans. */
export function highlight(code, language) {
  const name = language.toLowerCase();
  if (NONE.test(name)) return;
  const text = code.textContent;
  const pieces = document.createDocumentFragment();
  let last = 0;
  for (const match of text.matchAll(pattern(name))) {
    const kind = kindOf(match, text);
    if (!kind) continue;
    pieces.append(text.slice(last, match.index), span(kind, match[0]));
    last = match.index + match[0].length;
  }
  pieces.append(text.slice(last));
  code.replaceChildren(pieces);
}

function pattern(name) {
  const comment = COMMENT[HASH.test(name) ? 'hash' : DASH.test(name) ? 'dash' : 'slash'];
  return new RegExp(`(?<comment>${comment})|(?<string>${STRING})|(?<number>${NUMBER})|(?<word>${WORD})`, 'g');
}

function kindOf({ groups, index, 0: whole }, text) {
  if (groups.word === undefined) return Object.keys(groups).find((kind) => groups[kind] !== undefined);
  if (KEYWORDS.has(whole)) return 'keyword';
  if (text[index + whole.length] === '(') return 'call';
  return null;
}

function span(kind, text) {
  const element = document.createElement('span');
  element.className = `hl-${kind}`;
  element.textContent = text;
  return element;
}
