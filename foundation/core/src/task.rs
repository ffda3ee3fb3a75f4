//! The task and its machine: a pure function from (state, command) to (state, events).
//!
//! A2A 1.0 §3.1 and §4.1.3. Terminal states are final; every accepted change raises `seq` by one, so that one mutation
//! is one event and the log has no gaps. The document itself (history, artifacts) is opaque here: `wire::a2a` makes it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{AgentName, ContextId, InstanceId, SkillId, TaskId};
use crate::time::Time;

/// A2A 1.0 `TaskState`; the numbers are those of the proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[repr(i32)]
pub enum TaskState {
    /// Not said.
    Unspecified = 0,
    /// Accepted, not begun.
    Submitted = 1,
    /// In work.
    Working = 2,
    /// Ended well.
    Completed = 3,
    /// Ended badly.
    Failed = 4,
    /// Ended by request.
    Canceled = 5,
    /// Waits for the user's words.
    InputRequired = 6,
    /// The agent would not do it.
    Rejected = 7,
    /// Waits for an authorisation.
    AuthRequired = 8,
}

impl TaskState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::Submitted,
        Self::Working,
        Self::Completed,
        Self::Failed,
        Self::Canceled,
        Self::InputRequired,
        Self::Rejected,
        Self::AuthRequired,
    ];

    /// Final for ever.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Canceled | Self::Rejected)
    }

    /// Waits for somebody outside the agent.
    pub fn is_interrupted(self) -> bool {
        matches!(self, Self::InputRequired | Self::AuthRequired)
    }
}

/// Where a task stands in the gateway's own queue. Clients do not see it; states are what they see.
///
/// ```text
///            claim             answered
///   Ready ──────────▶ Sending ──────────▶ Running ──▶ Done
///   ▲ ▲  ◀─ again ───┘  │ given up          │  ▲
///   │ └── redrive ── Dead ◀┘           pause│  │resume
///   └── resume ── Paused ◀── pause ─────────┴──┘
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// Waits for its turn, or for its agent.
    Ready,
    /// A worker holds it and is handing it to the agent.
    Sending,
    /// The agent has it.
    Running,
    /// Held, by somebody's wish.
    Paused,
    /// Could not be handed over; an operator may redrive it until its deadline.
    Dead,
    /// It is over.
    Done,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 6] = [Self::Ready, Self::Sending, Self::Running, Self::Paused, Self::Dead, Self::Done];

    /// The word for it in stores, metrics and lists.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Sending => "sending",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Dead => "dead",
            Self::Done => "done",
        }
    }
}

/// Where a row stands: whoever writes names it, and is refused if it has moved. `seq` grows with every event, `attempt` with
/// every claim, so a worker that slept past its lease is refused even if nothing else has happened. What clients do not see
/// raises neither but changes the phase: of a worker that says *started* and whoever puts its task back, only one is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The number of the newest event.
    pub seq: u64,
    /// How often it was claimed.
    pub attempt: u32,
    /// Its place in the queue.
    pub phase: Phase,
}

/// The four timeouts, by Temporal's names, as spans of whole milliseconds. `None` waits for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From creation until an agent has it.
    pub schedule_to_start: Option<Duration>,
    /// From when the agent has it until its end.
    pub start_to_close: Option<Duration>,
    /// From creation until its end.
    pub schedule_to_close: Option<Duration>,
    /// Between two signs of life, while the agent has it.
    pub heartbeat: Option<Duration>,
}

/// The same as moments; those that do not apply at present are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deadlines {
    /// Schedule-to-start.
    pub start_by: Option<Time>,
    /// Start-to-close.
    pub finish_by: Option<Time>,
    /// Schedule-to-close.
    pub close_by: Option<Time>,
    /// Heartbeat.
    pub beat_by: Option<Time>,
}

impl Deadlines {
    /// The earliest.
    pub fn first(&self) -> Option<Time> {
        [self.start_by, self.finish_by, self.close_by, self.beat_by].into_iter().flatten().min()
    }

    fn all(&mut self) -> [&mut Option<Time>; 4] {
        [&mut self.start_by, &mut self.finish_by, &mut self.close_by, &mut self.beat_by]
    }
}

/// The timeout that ended a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timeout {
    /// No agent took it in time.
    ScheduleToStart,
    /// The agent took too long.
    StartToClose,
    /// It took too long altogether.
    ScheduleToClose,
    /// The agent gave no sign of life.
    Heartbeat,
}

impl Timeout {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ScheduleToStart => "schedule-to-start",
            Self::StartToClose => "start-to-close",
            Self::ScheduleToClose => "schedule-to-close",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// How a paused task goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pause {
    /// The phase that it goes back to.
    pub from: Phase,
    /// Since when it is paused.
    pub at: Time,
    /// Whether its deadlines stand still meanwhile.
    pub frozen: bool,
}

/// The urgency of tasks that nobody gave one; 0 is the most urgent.
pub const PRIORITY: u8 = 4;

/// What the gateway knows of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The id that clients see.
    pub id: TaskId,
    /// The principal that started it; nobody else sees it.
    pub owner: std::sync::Arc<str>,
    /// The conversation.
    pub context: Option<ContextId>,
    /// The agent that works on it.
    pub agent: AgentName,
    /// The instance that owns it; `None` until one has it.
    pub instance: Option<InstanceId>,
    /// The skill that was asked for.
    pub skill: Option<SkillId>,
    /// The agent's own id, where it differs from `id`.
    pub upstream_id: Option<TaskId>,
    /// Its state.
    pub state: TaskState,
    /// Its place in the queue.
    pub phase: Phase,
    /// While it is paused: since when, and what it goes back to.
    pub pause: Option<Pause>,
    /// The number of the newest event; the first is 1.
    pub seq: u64,
    /// How often a worker has claimed it.
    pub attempt: u32,
    /// When it may go out next, while it is ready.
    pub next_run_at: Option<Time>,
    /// Its urgency, 0 to 9; 0 is the most urgent.
    pub priority: u8,
    /// Its timeouts.
    pub timeouts: Timeouts,
    /// The moments at which they strike.
    pub deadlines: Deadlines,
    /// When it began.
    pub created_at: Time,
    /// When its status last changed, as its agent says; lists are ordered by it.
    pub status_at: Time,
    /// When it ended, by the gateway's own clock; what is forgotten goes by it.
    pub ended_at: Option<Time>,
}

impl Task {
    /// A task that begins now: submitted, ready for its agent at once, nothing else known.
    pub fn new(id: TaskId, owner: std::sync::Arc<str>, agent: AgentName, now: Time) -> Self {
        Self {
            id,
            owner,
            context: None,
            agent,
            instance: None,
            skill: None,
            upstream_id: None,
            state: TaskState::Submitted,
            phase: Phase::Ready,
            pause: None,
            seq: 1,
            attempt: 0,
            next_run_at: None,
            priority: PRIORITY,
            timeouts: Timeouts::default(),
            deadlines: Deadlines::default(),
            created_at: now,
            status_at: now,
            ended_at: None,
        }
    }

    /// Where its row stands.
    pub fn fence(&self) -> Fence {
        Fence { seq: self.seq, attempt: self.attempt, phase: self.phase }
    }

    /// Makes a task that was made just now wait for people. Its deadlines stand still meanwhile.
    pub fn hold_for_people(&mut self, now: Time) {
        self.state = TaskState::AuthRequired;
        self.phase = Phase::Paused;
        self.pause = Some(Pause { from: Phase::Ready, at: now, frozen: true });
    }

    /// Whether it waits for people to say yes, before any agent has it.
    pub fn awaits_people(&self) -> bool {
        self.state == TaskState::AuthRequired && self.phase == Phase::Paused && self.instance.is_none()
    }

    /// When the next of its timeouts strikes.
    pub fn next_deadline(&self) -> Option<Time> {
        if self.pause.is_some_and(|pause| pause.frozen) { None } else { self.deadlines.first() }
    }

    /// The timeout that has struck by `now`.
    pub fn overdue(&self, now: Time) -> Option<Timeout> {
        self.next_deadline().filter(|at| *at <= now)?;
        let past = |deadline: Option<Time>| deadline.is_some_and(|at| at <= now);
        let deadlines = &self.deadlines;
        if past(deadlines.close_by) {
            Some(Timeout::ScheduleToClose)
        } else if past(deadlines.start_by) {
            Some(Timeout::ScheduleToStart)
        } else if past(deadlines.finish_by) {
            Some(Timeout::StartToClose)
        } else if past(deadlines.beat_by) {
            Some(Timeout::Heartbeat)
        } else {
            None
        }
    }

    /// Sets the clocks of a task that is made now: one that waits, or one that an agent has already.
    pub fn schedule(&mut self, now: Time) {
        self.deadlines.close_by = self.timeouts.schedule_to_close.map(|span| now.plus(span));
        if self.phase == Phase::Running {
            self.started(now);
        } else {
            self.deadlines.start_by = self.timeouts.schedule_to_start.map(|span| now.plus(span));
        }
        if self.state.is_terminal() {
            self.ended(now);
        }
    }

    fn started(&mut self, now: Time) {
        self.deadlines.start_by = None;
        self.deadlines.finish_by = self.timeouts.start_to_close.map(|span| now.plus(span));
        self.deadlines.beat_by = self.timeouts.heartbeat.map(|span| now.plus(span));
    }

    fn ended(&mut self, now: Time) {
        self.ended_at = Some(now);
        self.phase = Phase::Done;
        self.deadlines = Deadlines::default();
        self.next_run_at = None;
        self.pause = None;
    }
}

/// What happened to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// The agent reported this state (a snapshot or a status update), or the gateway ended it.
    Status(TaskState),
    /// The agent added to an artifact.
    Artifact,
    /// An agent has it: the instance, and the agent's own id. Not an event; its first report follows.
    Started(InstanceId, Option<TaskId>),
    /// It could not be handed over; it may go out again at this moment. Not an event.
    Again(Time),
    /// It could not be handed over, and will not be tried again by itself.
    GiveUp,
    /// An operator wants it tried again.
    Redrive,
    /// Somebody wants it held; with true its deadlines stand still meanwhile.
    Pause(bool),
    /// Somebody wants it to go on.
    Resume,
    /// People said yes: what waited for them is submitted.
    Release,
}

/// Why a command was not applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The task is over; a late event changes nothing.
    #[error("the task is over")]
    Terminal,
    /// Somebody else changed it first.
    #[error("the task has moved on to event {}", .0.seq)]
    Conflict(Fence),
    /// The command does not fit where the task stands.
    #[error("a task that is {} cannot do that", .0.as_str())]
    OutOfPlace(Phase),
}

/// Applies `command` to the task if it still stands at `expected`. Returns whether clients see it, as an event with the
/// task's new number.
///
/// # Errors
/// [`Rejected::Conflict`] if the task has moved on, [`Rejected::Terminal`] if it is over, [`Rejected::OutOfPlace`] if the
/// command does not fit its phase.
pub fn apply(task: &mut Task, expected: Fence, command: Command, now: Time) -> Result<bool, Rejected> {
    if task.fence() != expected {
        return Err(Rejected::Conflict(task.fence()));
    }
    if task.state.is_terminal() {
        return Err(Rejected::Terminal);
    }
    let visible = match command {
        Command::Status(state) => {
            reported(task, state, now);
            true
        }
        Command::Artifact => {
            beat(task, now);
            true
        }
        Command::Started(instance, upstream) => {
            fits(task, &[Phase::Ready, Phase::Sending, Phase::Running])?;
            task.instance = Some(instance);
            task.upstream_id = upstream;
            task.phase = Phase::Running;
            task.next_run_at = None;
            task.started(now);
            false
        }
        Command::Again(at) => {
            fits(task, &[Phase::Sending])?;
            task.phase = Phase::Ready;
            task.next_run_at = Some(at);
            false
        }
        Command::GiveUp => {
            fits(task, &[Phase::Ready, Phase::Sending])?;
            task.phase = Phase::Dead;
            task.next_run_at = None;
            true
        }
        Command::Redrive => {
            fits(task, &[Phase::Dead])?;
            task.phase = Phase::Ready;
            task.next_run_at = Some(now);
            true
        }
        Command::Pause(frozen) => {
            fits(task, &[Phase::Ready, Phase::Running, Phase::Dead])?;
            task.pause = Some(Pause { from: task.phase, at: now, frozen });
            task.phase = Phase::Paused;
            true
        }
        Command::Resume | Command::Release => {
            // What waits for people goes on by their yes alone, and nothing else by it.
            if task.phase != Phase::Paused || task.awaits_people() != (command == Command::Release) {
                return Err(Rejected::OutOfPlace(task.phase));
            }
            if command == Command::Release {
                (task.state, task.status_at) = (TaskState::Submitted, now);
            }
            resumed(task, now);
            true
        }
    };
    if visible {
        task.seq += 1;
    }
    Ok(visible)
}

fn fits(task: &Task, phases: &[Phase]) -> Result<(), Rejected> {
    if phases.contains(&task.phase) { Ok(()) } else { Err(Rejected::OutOfPlace(task.phase)) }
}

fn reported(task: &mut Task, state: TaskState, now: Time) {
    task.state = state;
    task.status_at = now;
    if state.is_terminal() {
        return task.ended(now);
    }
    beat(task, now);
    // A task that waits for somebody outside does not keep its agent's pulse.
    if state.is_interrupted() {
        task.deadlines.beat_by = None;
    }
}

fn beat(task: &mut Task, now: Time) {
    if task.phase == Phase::Running {
        task.deadlines.beat_by = task.timeouts.heartbeat.map(|span| now.plus(span));
    }
}

fn resumed(task: &mut Task, now: Time) {
    let pause = task.pause.take().unwrap_or(Pause { from: Phase::Ready, at: now, frozen: false });
    if pause.frozen {
        for deadline in task.deadlines.all().into_iter().flatten() {
            *deadline = deadline.plus(now.since(pause.at));
        }
    }
    task.phase = pause.from;
    if task.phase == Phase::Ready {
        task.next_run_at = Some(task.next_run_at.map_or(now, |at| at.max(now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(phase: Phase) -> Task {
        let timeouts = Timeouts {
            schedule_to_start: Some(Duration::from_secs(10)),
            start_to_close: Some(Duration::from_secs(20)),
            schedule_to_close: Some(Duration::from_secs(60)),
            heartbeat: Some(Duration::from_secs(5)),
        };
        Task { phase, timeouts, ..Task::new("t".into(), "local".into(), "a".into(), Time(1)) }
    }

    fn does(task: &mut Task, command: Command, now: u64) -> Result<bool, Rejected> {
        let fence = task.fence();
        apply(task, fence, command, Time(now))
    }

    #[test]
    fn a_terminal_task_never_changes() {
        let mut task = task(Phase::Running);
        assert_eq!(does(&mut task, Command::Status(TaskState::Completed), 5), Ok(true));
        assert_eq!((task.phase, task.seq, task.deadlines.first()), (Phase::Done, 2, None));
        let before = task.clone();
        for state in TaskState::ALL {
            assert_eq!(does(&mut task, Command::Status(state), 9), Err(Rejected::Terminal));
        }
        for command in [Command::Artifact, Command::Pause(true), Command::Resume, Command::Redrive, Command::GiveUp] {
            assert_eq!(does(&mut task, command, 9), Err(Rejected::Terminal));
        }
        assert_eq!(task, before);
    }

    #[test]
    fn a_stale_writer_is_refused_and_numbers_have_no_gaps() {
        let mut task = task(Phase::Running);
        let at = |seq, attempt| Fence { seq, attempt, phase: Phase::Running };
        for seq in 1..10 {
            assert_eq!(apply(&mut task, at(seq, 0), Command::Artifact, Time(2)), Ok(true));
        }
        let stale = apply(&mut task, at(3, 0), Command::Status(TaskState::Failed), Time(2));
        assert_eq!(stale, Err(Rejected::Conflict(at(10, 0))));
        let zombie = apply(&mut task, at(10, 1), Command::Artifact, Time(2));
        assert_eq!(zombie, Err(Rejected::Conflict(at(10, 0))));
    }

    #[test]
    fn of_a_worker_and_whoever_puts_its_task_back_only_one_is_heard() {
        let mut task = task(Phase::Sending);
        let claimed = task.fence();
        assert_eq!(apply(&mut task, claimed, Command::Again(Time(50)), Time(2)), Ok(false));
        let late = apply(&mut task, claimed, Command::Started("i".into(), None), Time(3));
        assert_eq!(late, Err(Rejected::Conflict(task.fence())));
    }

    #[test]
    fn each_timeout_strikes_in_its_own_time() {
        let mut queued = task(Phase::Ready);
        queued.schedule(Time(0));
        assert_eq!(queued.overdue(Time(9_999)), None);
        assert_eq!(queued.overdue(Time(10_000)), Some(Timeout::ScheduleToStart));
        queued.phase = Phase::Sending;
        assert_eq!(does(&mut queued, Command::Started("i".into(), None), 8_000), Ok(false));
        assert_eq!(queued.overdue(Time(13_000)), Some(Timeout::Heartbeat));
        assert_eq!(does(&mut queued, Command::Artifact, 12_000), Ok(true));
        assert_eq!(queued.overdue(Time(16_999)), None);
        assert_eq!(does(&mut queued, Command::Status(TaskState::InputRequired), 16_000), Ok(true));
        assert_eq!(queued.overdue(Time(27_999)), None);
        assert_eq!(queued.overdue(Time(28_000)), Some(Timeout::StartToClose));
        assert_eq!(queued.overdue(Time(60_000)), Some(Timeout::ScheduleToClose));
    }

    #[test]
    fn a_pause_freezes_what_is_left_or_lets_it_run() {
        for (frozen, left) in [(true, 15_000), (false, 10_000)] {
            let mut task = task(Phase::Ready);
            task.schedule(Time(0));
            assert_eq!(does(&mut task, Command::Pause(frozen), 2_000), Ok(true));
            assert_eq!(does(&mut task, Command::Pause(frozen), 3_000), Err(Rejected::OutOfPlace(Phase::Paused)));
            assert_eq!(task.overdue(Time(11_000)).is_none(), frozen);
            assert_eq!(does(&mut task, Command::Resume, 7_000), Ok(true));
            assert_eq!((task.phase, task.next_run_at), (Phase::Ready, Some(Time(7_000))));
            assert_eq!(task.deadlines.start_by, Some(Time(left)));
        }
    }

    #[test]
    fn what_waits_for_people_goes_on_by_their_yes_alone() {
        let mut task = task(Phase::Ready);
        task.schedule(Time(0));
        task.hold_for_people(Time(0));
        assert_eq!(task.overdue(Time(1_000_000)), None, "people may take their time");
        for command in [Command::Resume, Command::Redrive, Command::Again(Time(1)), Command::Started("i".into(), None)]
        {
            assert_eq!(does(&mut task, command, 5_000), Err(Rejected::OutOfPlace(Phase::Paused)));
        }
        assert_eq!(does(&mut task, Command::Release, 8_000), Ok(true));
        assert_eq!((task.state, task.phase, task.next_run_at), (TaskState::Submitted, Phase::Ready, Some(Time(8_000))));
        assert_eq!(task.deadlines.start_by, Some(Time(18_000)));
        assert_eq!(does(&mut task, Command::Release, 9_000), Err(Rejected::OutOfPlace(Phase::Ready)));
    }

    #[test]
    fn the_queue_moves_a_task_only_along_its_picture() {
        let mut task = task(Phase::Sending);
        assert_eq!(does(&mut task, Command::Pause(true), 1), Err(Rejected::OutOfPlace(Phase::Sending)));
        assert_eq!(does(&mut task, Command::Again(Time(50)), 1), Ok(false));
        assert_eq!((task.phase, task.next_run_at, task.seq), (Phase::Ready, Some(Time(50)), 1));
        assert_eq!(does(&mut task, Command::GiveUp, 2), Ok(true));
        assert_eq!(does(&mut task, Command::Again(Time(60)), 2), Err(Rejected::OutOfPlace(Phase::Dead)));
        assert_eq!(does(&mut task, Command::Redrive, 3), Ok(true));
        assert_eq!((task.phase, task.next_run_at, task.seq), (Phase::Ready, Some(Time(3)), 3));
    }
}
