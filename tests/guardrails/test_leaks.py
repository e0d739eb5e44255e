from guardrails.leaks import Leaks

TEMPLATE = """You answer questions about the handbook from the numbered passages below and from nothing else.
If they do not hold the answer, say "The documents I have been given do not answer this question today."
{% for hit in hits %}[{{ loop.index }}] {{ hit.text and a long run of words in the markup itself }}{% endfor %}"""
LEAKS = Leaks(["CANARY-7f3a"], [TEMPLATE], 8)


def test_a_canary_is_seen_in_any_case_and_disguise() -> None:
    assert LEAKS.find("It says canary-7F3A here", []) == "canary"
    assert LEAKS.find("It says CAN\u200bARY-7f3a", []) == "canary"


def test_a_run_of_words_of_the_template_is_a_leak() -> None:
    told = "My orders: You answer questions about the handbook, from the numbered passages below!"
    assert LEAKS.find(told, []) == "protected text"
    assert LEAKS.find("I answer questions about the handbook from numbered passages.", []) == ""


def test_what_the_template_tells_the_engine_to_say_is_none() -> None:
    assert LEAKS.find("The documents I have been given do not answer this question today.", []) == ""


def test_what_a_passage_says_in_public_is_none() -> None:
    told = "You answer questions about the handbook from the numbered passages below."
    assert LEAKS.find(told, ["The template reads: " + told]) == ""


def test_without_anything_to_protect_nothing_leaks() -> None:
    assert Leaks([], [" "], 8).find("anything at all", []) == ""
    assert Leaks([" "], [], 8).find("anything at all", []) == ""
