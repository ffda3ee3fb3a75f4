//! The rows of `[approvals]`.

use super::{Applied, Kind, Section, key};

pub(super) static APPROVALS: Section = Section {
    name: "approvals",
    doc: "What people are asked about although no rule of [[policy]] says so, and how their answers are waited for.",
    keys: &[
        key(
            "sensitive_by_default",
            Kind::Flag,
            "true",
            Applied,
            "Asks a person before a message for a skill whose id or tags speak of a lock, a door, a garage, a gate, an alarm, gas, an oven, \
             a safe, a vault, a shutter or a valve, and before one from another domain for a skill that deletes or resets something. A rule that allows lifts the question. \
             That it is off stands in the audit log.",
        ),
        key(
            "hold_seconds",
            Kind::Seconds(0.0, 600.0),
            "0",
            Applied,
            "How long a caller that waits for its task's end waits for people first, before it gets the task that waits for them.",
        ),
        key(
            "remember_seconds",
            Kind::Seconds(0.0, 900.0),
            "900",
            Applied,
            "How long a yes may be remembered at most for the very same request of the same caller, if whoever gives it wants that; 0 is never. \
             What is critical is always asked anew.",
        ),
        key(
            "open_questions",
            Kind::Integer(1, 100),
            "3",
            Applied,
            "How many questions of one caller may wait for people at once. Programs of this machine without credentials are one caller.",
        ),
        key(
            "questions_an_hour",
            Kind::Integer(1, 1000),
            "10",
            Applied,
            "How many questions one caller may put to people within an hour, so that nobody says yes from weariness.",
        ),
    ],
};
