from simulator.journal import Journal, RequestRecord


def record(number):
    return RequestRecord(
        number=number,
        provider="p",
        wire="gemini",
        model="m",
        attempt=1,
        streamed=True,
        system=None,
        user_messages=("hi",),
        prefill=None,
        connection=1,
        peer_port=2,
        received_at=0.0,
    )


def test_only_the_newest_records_are_kept():
    journal = Journal(2)
    for number in range(4):
        journal.add(record(number))
    assert [each.number for each in journal.records] == [2, 3]
    assert journal.as_json()["requests"] == 4


def test_a_record_shows_the_text_sent_so_far():
    shown = record(1)
    shown.tokens, shown.sent_tokens = ("a", "b", "c"), 2
    assert shown.as_json()["text"] == "ab"
    assert "tokens" not in shown.as_json()


def test_a_connection_counts_once_for_each_provider_that_used_it():
    journal = Journal(1)
    journal.connection_opened("socket", 1)
    for provider in ("p", "p", "q"):
        journal.connection_used("socket", provider)
    shown = journal.as_json()
    assert shown["connections"] == {"opened": 1, "open": 1}
    assert shown["providers"]["p"]["connections"] == {"opened": 1, "open": 1}
    journal.connection_closed("socket")
    assert journal.as_json()["providers"]["q"]["connections"] == {"opened": 1, "open": 0}


def test_attempts_are_counted_by_request_and_the_oldest_forgotten():
    journal = Journal(1)
    assert [journal.count_attempt("a"), journal.count_attempt("a")] == [1, 2]
    for number in range(10_000):
        journal.count_attempt(number)
    assert journal.count_attempt("a") == 1


def test_clearing_keeps_what_is_still_open():
    journal = Journal(1)
    journal.connection_opened("socket", 1)
    journal.connection_used("socket", "p")
    traffic = journal.add(record(1))
    traffic.in_progress, traffic.tokens = 1, 5
    journal.clear()
    shown = journal.as_json()
    assert not journal.records
    assert shown["connections"] == {"opened": 0, "open": 1}
    assert (shown["requests"], shown["tokens"], shown["in_progress"]) == (0, 0, 1)
