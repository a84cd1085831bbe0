-- Logs begin at different generations, so that one's cursor is no cursor of another's.

ALTER TABLE conversations
    ALTER COLUMN generation SET DEFAULT 1 + floor(random() * 1000000000)::int;
