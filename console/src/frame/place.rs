//! The pages that the frame leads to, in their order: one line each.

use moongate_core::seam::Later;

use super::{Answer, Asking, HOME, Right};

/// A page of the navigation, with what lies below its path.
pub(super) struct Place {
    /// Where it is.
    pub(super) path: &'static str,
    /// What it is called.
    pub(super) title: &'static str,
    /// Who sees it.
    pub(super) right: Right,
    /// Whether a name below its path is one of its things.
    pub(super) holds: bool,
    /// What may stand behind the question mark.
    pub(super) parameters: &'static [&'static str],
    /// Draws it.
    pub(super) draw: for<'a> fn(&'a Asking<'a>) -> Later<'a, Answer>,
}

/// All of them.
#[rustfmt::skip]
pub(super) static ALL: [Place; 7] = [
    Place { path: HOME, title: "Overview", right: Right::See, holds: false, parameters: &[],
        draw: |asking| Box::pin(asking.overview()) },
    Place { path: "/console/agents", title: "Agents", right: Right::See, holds: false, parameters: &["q"],
        draw: |asking| Box::pin(asking.agents()) },
    Place { path: "/console/tasks", title: "Tasks", right: Right::See, holds: true, parameters: &["agent", "state", "page"],
        draw: |asking| Box::pin(asking.tasks()) },
    Place { path: "/console/approvals", title: "Approvals", right: Right::Questions, holds: false, parameters: &[],
        draw: |asking| Box::pin(asking.approvals()) },
    Place { path: "/console/audit", title: "Audit", right: Right::ReadLog, holds: true, parameters: super::audit::PARAMETERS,
        draw: |asking| Box::pin(asking.audit()) },
    Place { path: "/console/configuration", title: "Configuration", right: Right::See, holds: false, parameters: &[],
        draw: |asking| Box::pin(asking.configuration()) },
    Place { path: super::routes::PATH, title: "Routes", right: Right::See, holds: false, parameters: &[],
        draw: |asking| Box::pin(std::future::ready(Ok(asking.routes()))) },
];

impl Place {
    /// The page that stands at a path, or above it.
    pub(super) fn at(path: &str) -> Option<&'static Self> {
        ALL.iter().find(|place| place.below(path).is_some())
    }

    /// What a path names below this page: nothing for the page itself. Below most of them there is nothing.
    pub(super) fn below<'p>(&self, path: &'p str) -> Option<&'p str> {
        let rest = path.strip_prefix(self.path)?;
        match rest.strip_prefix('/') {
            _ if rest.is_empty() => Some(rest),
            Some(name) if self.holds && !name.is_empty() && !name.contains('/') => Some(name),
            _ => None,
        }
    }

    /// The page about a noun of the API.
    pub(super) fn about(noun: &str) -> Option<&'static Self> {
        ALL.iter().find(|place| place.path.strip_prefix(HOME) == Some(noun))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_their_pages_and_to_nothing_else() {
        let title = |path| Place::at(path).map(|place| place.title);
        assert_eq!(title("/console/"), Some("Overview"));
        assert_eq!(title("/console/agents"), Some("Agents"));
        assert_eq!(title("/console/tasks/7"), Some("Tasks"));
        for nowhere in [
            "/console",
            "/console//",
            "/console/agents/",
            "/console/agents/a",
            "/console/routes/x",
            "/console/tasks/a/b",
            "/console/agentsx",
            "/console/x",
        ] {
            assert_eq!(title(nowhere), None, "{nowhere}");
        }
        assert_eq!(Place::about("approvals").map(|place| place.title), Some("Approvals"));
        assert_eq!(Place::about("").map(|place| place.title), Some("Overview"));
    }
}
