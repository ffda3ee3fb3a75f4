//! How things stand, in one answer: `GET /api/v1/overview`.

use moongate_console::frame::overview::{Level, Matter, Overview, Part};
use moongate_core::{Phase, Principal, Problem};
use moongate_telemetry::metrics::ListState;
use serde_json::Value;

use super::Surface;
use super::pulse::SOON;

/// Agents that are named one by one at most.
const NAMED: usize = 20;

impl Surface {
    /// The view.
    ///
    /// # Errors
    /// The store cannot be read.
    pub(super) async fn overview(&self) -> Result<Value, Problem> {
        let gateway = self.endpoint.gateway();
        let domain = gateway.settings.load().domain.to_string();
        let [up, suspect, down] = self.registry.census();
        let works = |detail: String| Part { name: "A2A".into(), works: true, detail };
        let absent = |name: &str, detail: &str| Part { name: name.into(), works: false, detail: detail.into() };
        let overview = Overview {
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: moongate_a2a::moment::write(self.pulse.started_at),
            gateways: vec![
                works(format!("{up} agents up, {suspect} suspect, {down} down")),
                absent("MCP", "tools and their servers"),
                absent("Model", "routing to language models"),
                absent("Network", "links, ports, NAT"),
            ],
            attention: self.attention(&domain).await?,
            traffic: self.pulse.traffic(self.telemetry.metrics(), gateway.clock.mono()),
            domain,
        };
        serde_json::to_value(overview).map_err(|error| super::internal("the overview cannot be told", error))
    }

    /// What needs somebody, the worst first.
    async fn attention(&self, domain: &str) -> Result<Vec<Matter>, Problem> {
        let mut matters = self.own_health();
        matters.extend(self.agents_in_trouble(domain));
        matters.extend(self.lists_in_trouble());
        matters.extend(self.channels_in_trouble());
        matters.extend(self.waiting().await?);
        matters.sort_by_key(|matter| matter.level);
        Ok(matters)
    }

    fn own_health(&self) -> Vec<Matter> {
        let mut matters = Vec::new();
        if let Err(problem) = self.store.health() {
            matters.push(matter(Level::Bad, format!("The store takes no writes: {problem}"), None));
        }
        if let Err(problem) = self.records.health() {
            matters.push(matter(Level::Bad, format!("The audit log takes no lines: {problem}"), Some("audit")));
        }
        if self.status.refused_last() {
            let what = "The changed configuration was refused; the one before stays in force.".to_owned();
            matters.push(matter(Level::Warn, what, Some("configuration")));
        }
        if !self.registry.is_ready() {
            matters.push(matter(
                Level::Note,
                "The configured agents have not all been tried yet.".into(),
                Some("agents"),
            ));
        }
        matters
    }

    fn agents_in_trouble(&self, domain: &str) -> Vec<Matter> {
        let views = self.registry.views(&Principal::operator(domain));
        let mut matters: Vec<Matter> = views.iter().filter_map(agent_in_trouble).collect();
        matters.sort_by_key(|matter| matter.level);
        if matters.len() > NAMED {
            let more = matters.len() - NAMED;
            matters.truncate(NAMED);
            matters.push(matter(Level::Warn, format!("{more} more agents are in trouble."), Some("agents")));
        }
        matters
    }

    fn lists_in_trouble(&self) -> Vec<Matter> {
        let now = self.records.clock.now();
        let lists = self.boundary.lists().into_iter().filter_map(|list| {
            let soon = list.next_update.is_some_and(|end| end < now.plus(SOON).0 as f64 / 1000.0);
            let (level, how) = match list.state {
                ListState::Fresh if soon => (Level::Warn, "runs out within the hour"),
                ListState::Fresh => return None,
                ListState::Grace => (Level::Warn, "has run out, and serves for a while"),
                ListState::Expired => (Level::Bad, "has run out: nobody is let in by it"),
                ListState::Missing => (Level::Bad, "is missing: nobody is let in by it"),
            };
            Some(matter(level, format!("The revocation list of {} {how}.", list.domain), None))
        });
        lists.take(NAMED).collect()
    }

    fn channels_in_trouble(&self) -> Vec<Matter> {
        let status = self.status.view(self.registry.census());
        let channels = status.get("notifications").and_then(Value::as_array).into_iter().flatten();
        let told = channels.filter_map(|channel| {
            let text = |member: &str| channel.get(member).and_then(Value::as_str);
            let what = format!("People are not told by {}: {}", text("name")?, text("trouble")?);
            Some(matter(Level::Warn, what, Some("approvals")))
        });
        told.take(NAMED).collect()
    }

    async fn waiting(&self) -> Result<Vec<Matter>, Problem> {
        let gateway = self.endpoint.gateway();
        let mut matters = Vec::new();
        let asked = gateway.desk.pending().await?.len();
        if asked > 0 {
            let what = if asked == 1 { "A question waits".to_owned() } else { format!("{asked} questions wait") };
            matters.push(matter(Level::Note, format!("{what} for a person’s yes."), Some("approvals")));
        }
        let census = gateway.tasks.store().tasks().census().await?;
        let (ready, dead) = (census.count(Phase::Ready), census.count(Phase::Dead));
        if ready > 0 {
            matters.push(matter(Level::Note, format!("{ready} tasks wait for their agents."), Some("tasks")));
        }
        if dead > 0 {
            let what = format!("{dead} tasks could not be handed over; `moongate tasks redrive` tries again.");
            matters.push(matter(Level::Warn, what, Some("tasks")));
        }
        Ok(matters)
    }
}

fn agent_in_trouble(view: &Value) -> Option<Matter> {
    let text = |pointer: &str| view.pointer(pointer).and_then(Value::as_str);
    let id = text("/id")?;
    let why = text("/problem/detail").map(|detail| format!(": {detail}")).unwrap_or_default();
    let (level, how) = match text("/health") {
        Some("down") => (Level::Bad, "is down"),
        Some("suspect") => (Level::Warn, "does not answer for sure"),
        _ if view.get("ejected_seconds").is_some_and(Value::is_number) => (Level::Warn, "is set aside for failing"),
        _ if !why.is_empty() => (Level::Warn, "has trouble"),
        _ => return None,
    };
    Some(matter(level, format!("{id} {how}{why}"), Some("agents")))
}

fn matter(level: Level, what: String, about: Option<&str>) -> Matter {
    Matter { level, what, about: about.map(str::to_owned) }
}
