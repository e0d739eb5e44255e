import pytest

from guardrails.accounts import checked_cards, luhn, mod97
from guardrails.keys import tokens
from guardrails.mask import mask, scan

PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nMIIEpAIBAAKCAQEA7bq5Zx0c9Qm8T0mVd1pWlq3mS1yQ2qzv\n"
    "abcDEF123=\n-----END RSA PRIVATE KEY-----"
)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("Write to ada.l+x@example.co.uk.", "Write to [email]."),
        ("josé@example.com", "[email]"),
        ("日本語ada@example.comです", "日本語[email]です"),
        ("<ada@example.com>, bob@example.org", "<[email]>, [email]"),
        ("card 4111 1111 1111 1111 123 then", "card [card] 123 then"),
        ("4111-1111-1111-1111, ok", "[card], ok"),
        ("2024 4111111111111111", "2024 [card]"),
        ("378282246310005 or 3782 822463 10005", "[card] or [card]"),
        ("IBAN GB82 WEST 1234 5698 7654 32 IS GOOD", "IBAN [iban] IS GOOD"),
        ("DE89370400440532013000.", "[iban]."),
        ("SSN 078-05-1120 yes", "SSN [ssn] yes"),
        ("call +1 (555) 010-9999 x12 or 212-555-0187x7.", "call [phone] or [phone]."),
        ("(020) 7946 0958, 07700 900123, 06 12 34 56 78", "[phone], [phone], [phone]"),
        ("+33 1 23 45 67 89 is", "[phone] is"),
        ("key sk-proj-abcDEF0123456789abcd_XYZ ok", "key [token] ok"),
        ("ghp_" + "aB3d" * 9, "[token]"),
        ("id AKIAIOSFODNN7EXAMPLE!", "id [token]!"),
        ("eyJhbGciOiJI.eyJzdWIiOiIx.SflKxwRJSM-_", "[token]"),
        ("Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [token]"),
        ("https://bob:hunter2@host/x", "https://[credentials]@host/x"),
        ("my key:\n" + PEM + "\nkeep it", "my key:\n[private key]\nkeep it"),
        ("KEY='" + PEM.replace("\n", "\\n") + "' done", "KEY='[private key]' done"),
        ("cut off: " + PEM[:90], "cut off: [private key]"),
        ("password=Xk9$mQ2vL7pR, token: a1b2c3*d4e5f6g7h8", "password=[secret], token: [secret]"),
        ("my password is Hunter2024!", "my password is [secret]"),
        ("Secret key: wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "Secret key: [secret]"),
        ("**Password:** hunter2024x\n| api key | a1b2c3d4e5f6g7h8 |", "**Password:** [secret]\n| api key | [secret] |"),
        ("DB_PASSWORD=Sommerfest 'password': 'Sommerfest'", "DB_PASSWORD=[secret] 'password': '[secret]'"),
        ("AccountName=a;AccountKey=abcd1234abcd1234+/ab==;", "AccountName=a;AccountKey=[secret];"),
        ("hooks.slack.com/services/T0ABCDEF1/B0ABCDEF2/" + "aB3d" * 6, "hooks.slack.com/services/[token]"),
        ("123456789:AA" + "h" * 33, "[token]"),
        (
            "postgres://bob:p@ss/w0rd@db and a://b:p@ss@c.example/d",
            "postgres://[credentials]@db and a://[credentials]@c.example/d",
        ),
        ("ada@münchen.de, ada@пример.рф, ada@a.xn--p1ai", "[email], [email], [email]"),
        (r"ada\@example.com ada@example\.com **ada**@example.com", "[email] [email] **[email]"),
        (r'ada&#x40;example.com "ada\u0040example.com"', '[email] "[email]"'),
        ("4111_1111_1111_1111 or 4111  1111  1111  1111", "[card] or [card]"),
    ],
)
def test_sensitive_text_is_masked(text: str, masked: str) -> None:
    assert mask(text) == masked


@pytest.mark.parametrize(
    "text",
    [
        "Bind 127.0.0.1:8000, 0.0.0.0 or [::1]; ray 2.60.0 of 2026-11-21 12:30:45.",
        "git clone git@github.com:owner/name, react@18.2.0, @serve.deployment",
        "at 1028.4111111111111111 rows/s or 4111111111111111.5",
        "use 4 GPU and 2 CPU; 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
        "sizes 256 512 1024 or 100 200 3000, 1234567890123 ns, 3.14159265358979",
        "The -----BEGIN CERTIFICATE----- line, and sk-learn-compatible-estimators",
        "Authorization: Bearer YOUR_API_KEY, set RAGLAN_API_KEY=...",
        "sha 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "password: see below; the password is required, wrong or sha256-hashed; Password: optional",
        'password=args.password, password=$DB_PASSWORD, password: "changeme", POSTGRES_PASSWORD=postgres',
        "token=YOUR_API_KEY1234567, api_key: sk-xxxxxxxxxxxxxxxx1, password: <your-password-1>",
        "http://localhost:4873/@scope/pkg and http://host:PORT/a@b",
        "uuid 123e4567-e89b-12d3-a456-426614174000 and card-like 4111 1111 1111 1112",
        "[1] [2] | 3 | 4 |\n| a | b |\n`x[0] = {1: 2}` \t **bold** — “quoted”",
        "",
    ],
)
def test_technical_text_is_left_alone(text: str) -> None:
    assert mask(text) == text


@pytest.mark.parametrize("unseen", "\xad\u115f\u17b4\u180f\u2065\u2800\u3164\uffa0\U0001d173\U000e0041\U000e0100")
def test_no_invisible_character_hides_anything(unseen: str) -> None:
    text = f"a{unseen}da@exam{unseen}ple.com 41{unseen}11 1111 11{unseen}11 1111 ghp_aB3d{unseen}{'aB3d' * 8}"
    assert mask(text) == "[email] [card] [token]"


def test_what_is_masked_is_told_by_kind() -> None:
    assert scan(PEM + " ghp_" + "aB3d" * 9 + " http://a:b@c").kinds == {"private key", "token", "credentials"}
    assert not scan("What is a token?").kinds


@pytest.mark.timeout(30)
def test_beginnings_of_tokens_are_given_up_in_time() -> None:
    assert list(tokens("-eyJ" * 100_000, "")) == []


def test_check_sums() -> None:
    assert luhn("4111111111111111")
    assert not luhn("4111111111111112")
    assert mod97("GB82WEST12345698765432")
    assert not mod97("GB83WEST12345698765432")
    assert list(checked_cards("1111 2222")) == []
