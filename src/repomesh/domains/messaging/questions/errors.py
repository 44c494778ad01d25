"""What can go wrong when agents ask people."""

from __future__ import annotations

from repomesh.kernel.errors import Conflict, Forbidden, InvalidRequest, NotFound


class QuestionNotFound(NotFound):
    """There is no such question, or the caller neither asked it nor was asked."""

    code = "question_not_found"
    hint = "List the questions that you asked or were asked with GET /v1/questions."


class QuestionClosed(Conflict):
    """The question was answered, settled at its deadline, or withdrawn."""

    code = "question_closed"
    hint = "Write to its asker with send_message if it still matters."


class NotAPerson(InvalidRequest):
    """Only people can be asked questions, and the named agent is of another type."""

    code = "not_a_person"
    hint = "Name an agent of type 'human', or leave 'to' out; agents are asked with send_message."


class NotAsked(Forbidden):
    """Only the person who was asked can answer a question."""

    code = "not_asked"
    hint = "Act as the person who was asked: 'repomesh inbox' does so."


class NotTheAsker(Forbidden):
    """Only its asker or the workspace's owner can withdraw a question."""

    code = "not_the_asker"
    hint = "Answer it with POST /v1/questions/{question_id}/answer; only its asker may withdraw it."


class DeadlineMissing(InvalidRequest):
    """A default or an escalation needs a deadline."""

    code = "deadline_missing"
    hint = "Send 'deadline_s' with the seconds within which somebody should answer."


class TooManyQuestions(Conflict):
    """An agent has a bounded number of open questions."""

    code = "too_many_questions"
    hint = "Wait for answers, or withdraw questions with POST /v1/questions/{question_id}/withdraw."
