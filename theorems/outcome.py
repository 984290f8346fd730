"""What one check can find. Shared by derivations, properties and reports; imports nothing of this project."""

from enum import Enum


class Outcome(Enum):
    """What one check found; only a broken law refutes."""

    HELD = "held"  # every example, or every step, satisfied the law
    REFUTED = "refuted"  # one example or step breaks it, beyond what rounding allows
    UNDECIDED = "undecided"  # the check could not tell
    ERROR = "error"  # the check itself, or the subject in it, failed for another reason
    NOT_RUN = "not run"  # nothing was tried, for the reason given beside it
    SWITCHED_OFF = "switched off"  # a declared convention says that this law is not meant to hold

    @classmethod
    def worst(cls, outcomes: "list[Outcome]") -> "Outcome":
        """The outcome of a whole: one broken part breaks it, one undecided part leaves it undecided; nothing tried is NOT_RUN."""
        for bad in (cls.REFUTED, cls.ERROR, cls.UNDECIDED):
            if bad in outcomes:
                return bad
        return cls.HELD if cls.HELD in outcomes else cls.NOT_RUN
