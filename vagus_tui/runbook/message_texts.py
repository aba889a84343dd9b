"""The wording of the messages. `$name` marks a field; see `messages.MessageContext`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageText:
    """The words of one message; `channel` is a value of `messages.Channel`."""

    slug: str
    title: str
    channel: str
    body: str
    subject: str = ""


TEXTS: tuple[MessageText, ...] = (
    MessageText(
        slug="announce-email",
        title="Announcement e-mail",
        channel="e-mail",
        subject="$project workouts get better on $date",
        body="""Hello,

on $date we upgrade the workout part of $project.

What is new: plans made of weeks and days, supersets and circuits, targets by effort (RPE), and better statistics.

What stays: your plans, your history and your coach. You do not have to do anything beforehand.

The upgrade takes place from $window. Saving may pause briefly in that time. Afterwards, please update the app \
when it asks you to.

News during the upgrade: $status_page
Questions: $contact

$sender""",
    ),
    MessageText(
        slug="banner-week",
        title="Banner, 7 days before",
        channel="in-app banner",
        body="Workouts are upgraded on $date. Your plans and history stay.",
    ),
    MessageText(
        slug="social-post",
        title="Social media post",
        channel="social media",
        body="""On $date, $project workouts grow up: plans with weeks and days, supersets, effort targets, and \
statistics that show your progress. Your history comes along. Details: $status_page""",
    ),
    MessageText(
        slug="reminder-email",
        title="Reminder e-mail",
        channel="e-mail",
        subject="Tomorrow: $project workouts are upgraded",
        body="""Hello,

a reminder: tomorrow, $date, from $window, we upgrade the workout part of $project.

Please do not start a workout in that time. If you are in the middle of one, what you have saved is safe.

News during the upgrade: $status_page
Questions: $contact

$sender""",
    ),
    MessageText(
        slug="banner-day",
        title="Banner, 24 hours before",
        channel="in-app banner",
        body="Workout upgrade tomorrow, $window. Saving may pause briefly.",
    ),
    MessageText(
        slug="maintenance-page",
        title="Maintenance page",
        channel="maintenance page",
        body="""We are upgrading workouts. Saving is paused for a moment; what you saved is safe. \
News: $status_page""",
    ),
    MessageText(
        slug="status-page",
        title="Status page entry",
        channel="status page",
        body="""Planned maintenance, $date, $window.
We are upgrading the workout part of $project. Reading works throughout; saving may pause briefly. \
We report here when it is done.""",
    ),
    MessageText(
        slug="features-email",
        title="New features e-mail",
        channel="e-mail",
        subject="New in $project: workouts by weeks and days",
        body="""Hello,

the workout upgrade is done. Your plans and your history are where you left them.

New for you:
- plans are made of weeks and days
- exercises can be grouped: supersets, circuits, drop sets
- targets by effort (RPE), and more detailed statistics

Please update the app to use them. Coaches: please look over your templates once.

Something looks wrong? Write to $contact and we will look into it.

$sender""",
    ),
    MessageText(
        slug="tutorial",
        title="Tutorial announcement",
        channel="in-app tutorial",
        body="""Your workouts have a new home. Plans now have weeks and days. Take a one-minute tour, or skip \
it and find it later under Help.""",
    ),
    MessageText(
        slug="rollback-notice",
        title="Rollback notice",
        channel="e-mail",
        subject="$project workouts: back to the earlier version for now",
        body="""Hello,

we have taken back the workout upgrade for the time being, because of a technical problem. Workouts work as they \
did before it.

Your workouts are safe, those of the last days included. Details that only the new version knows, such as \
supersets or effort targets, are kept for when it returns.

If the app asks you to install an update, please do. We will write again before the next attempt.

News: $status_page
Questions: $contact

$sender""",
    ),
)
