"""What tests of published suites cannot pass, and why: node id, with its project, to the reason.

They run all the same and have to end in a 400: one that starts to pass, fails otherwise or is not there
any more, fails its suite until the entry is removed here and from docs/clients.md.
"""

AUDIO = "neither model hears anything: audio is refused with `param`"

REASONS: dict[str, str] = {
    **{f"a/test_langchain.py::{model}::test_audio_inputs": AUDIO for model in ("TestClaude", "TestNova")},
}
