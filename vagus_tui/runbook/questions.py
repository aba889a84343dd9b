"""The guide's eight frequent questions, with answers that hold for this way of migrating."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A question and its answer, as they are shown."""

    id: str
    question: str
    answer: str


QUESTIONS: tuple[Question, ...] = (
    Question(
        id="question.how-long",
        question="How long does it take?",
        answer="Seconds on development, up to half an hour for a large production, while the app runs. "
        "Writes pause at the cut-over only: about a second, never over three. A rehearsal gives your figures.",
    ),
    Question(
        id="question.data-loss",
        question="Will users lose data?",
        answer="No. Every row is compared before the swap, the v1 tables stay as *_v1, and the backup has been "
        "restored before it counts. Rows that v2 cannot take are repaired or set aside, never deleted.",
    ),
    Question(
        id="question.in-phases",
        question="Can we migrate some users first?",
        answer="Not the data: there is one set of table names, so it moves for everyone at once. "
        "The app can be released in stages, 10 % and then all.",
    ),
    Question(
        id="question.rollback",
        question="What if we have to go back?",
        answer="The quick rollback takes seconds and carries later writes back into v1. The app takes longer: "
        "stores review, and an installed app cannot be recalled. Keep the v1 app ready.",
    ),
    Question(
        id="question.app-update",
        question="Do users need to update the app?",
        answer="Yes. A pure v1 app cannot read v2. Make the update mandatory once phase 3 has begun.",
    ),
    Question(
        id="question.sessions",
        question="Are existing sessions kept?",
        answer="Yes, with the same ids. Each is tied to the day most of its logs belong to. A session of no plan "
        "is kept without a day.",
    ),
    Question(
        id="question.use-during",
        question="Can people use the app meanwhile?",
        answer="Yes. Building goes unnoticed and changes made meanwhile are caught up. Only at the cut-over do "
        "writes pause; reading goes on.",
    ),
    Question(
        id="question.templates",
        question="What about templates?",
        answer="They are migrated like plans and listed in the report. Coaches should look them over, since days "
        "may have been formed from muscle groups.",
    ),
)
