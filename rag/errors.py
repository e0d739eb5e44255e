"""What can go wrong, as data: no status codes, no Ray. Arguments are positional so that every error pickles."""


class RaglanError(Exception):
    """A failure with a `message` safe to show a client; `param` names the field at fault, if one is."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param)
        self.message = message
        self.param = param

    def __str__(self) -> str:
        return self.message


class InvalidInput(RaglanError):
    """The request is well formed but cannot be served as it is."""


class Unsupported(InvalidInput):
    """A parameter that is valid for OpenAI's API but not offered here."""


class PromptTooLong(InvalidInput):
    """The prompt does not fit the model's context."""


class TooLarge(InvalidInput):
    """A body, a file or a text over its limit."""


class IdTaken(InvalidInput):
    """The id is that of a document which the caller may not see."""


class UnreadableDocument(InvalidInput):
    """A file that is broken, encrypted or not of its claimed type."""


class UnsupportedMedia(InvalidInput):
    """A file type that no reader takes."""


class NotFound(RaglanError):
    """No such model, document or trace."""


class Unauthenticated(RaglanError):
    """No valid API key came with the request."""


class StageFailed(RaglanError):
    """A stage broke: `stage` names it."""

    def __init__(self, stage: str, message: str = "the stage failed") -> None:
        super().__init__(message)
        self.args = (stage, message)
        self.stage = stage

    def __str__(self) -> str:
        return f"{self.stage}: {self.message}"


class StageUnavailable(StageFailed):
    """A stage has no replica to answer just now; trying again can help."""


class Overloaded(StageFailed):
    """A stage refused for back-pressure; try again after `retry_after_s` seconds."""

    def __init__(self, stage: str, message: str = "too many requests", retry_after_s: int = 1) -> None:
        super().__init__(stage, message)
        self.args = (stage, message, retry_after_s)
        self.retry_after_s = retry_after_s


class ModelAsleep(StageFailed):
    """A model without a replica did not get one in time; try again after `retry_after_s` seconds."""

    def __init__(self, stage: str, message: str, retry_after_s: int = 1) -> None:
        super().__init__(stage, message)
        self.args = (stage, message, retry_after_s)
        self.retry_after_s = retry_after_s


class DeadlineExceeded(StageFailed):
    """A stage did not answer within its time."""
