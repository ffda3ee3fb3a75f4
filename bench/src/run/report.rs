//! Results on disk: one JSON file a scenario with every run in it, and a page of tables made of all files there are.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::rounds::Point;
use super::scenario::SCENARIOS;
use super::summary::{Figures, Ratio, Summary};
use crate::abuse::summary::Abuse;
use crate::approvals::Approvals;
use crate::audit::summary::Audit;
use crate::fault::Fault;
use crate::handshakes::summary::Handshakes;
use crate::instructions::{Counted, Guarded};
use crate::machine::Machine;
use crate::tasks::Tasks;

/// The result of a scenario.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The scenario's name.
    pub(crate) scenario: String,
    /// What happens in it.
    pub(crate) what: String,
    /// Where, when and of what.
    pub(crate) machine: Machine,
    /// Rounds.
    pub(crate) rounds: usize,
    /// Seconds of each run.
    pub(crate) seconds: f64,
    /// `worker_processes` of nginx.
    pub(crate) nginx_workers: String,
    /// Moongate's resident memory before the first request, in KiB.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) idle_rss_kib: Option<u64>,
    /// The same of nginx.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) nginx_idle_rss_kib: Option<u64>,
    /// The figures, by number of connections.
    pub(crate) points: Vec<Point>,
}

/// Writes a report to its file in `folder`.
pub(crate) fn write(folder: &Path, report: &Report) -> Result<(), Fault> {
    write_json(folder, &report.scenario, report)
}

/// Writes a value to `{name}.json`.
pub(crate) fn write_json(folder: &Path, name: &str, value: &impl Serialize) -> Result<(), Fault> {
    let failed = |error: &dyn std::fmt::Display| Fault::new("results", format!("{name}.json: {error}"));
    let mut text = serde_json::to_string_pretty(value).map_err(|error| failed(&error))?;
    text.push('\n');
    std::fs::write(folder.join(format!("{name}.json")), text).map_err(|error| failed(&error))
}

/// Writes the page of tables for all results in `folder`, and returns it.
pub(crate) fn write_summary(folder: &Path) -> Result<String, Fault> {
    let mut page =
        "# Results\n\nWritten by `moongate-bench run`, `tasks`, `approvals`, `audit`, `handshakes`, `abuse` and `instructions`; [how they are taken \
        and how to read them](../README.md).\nThe files beside this page hold every run.\n"
            .to_owned();
    for scenario in SCENARIOS {
        if let Some(report) = read::<Report>(folder, scenario.name)? {
            section(&mut page, &report);
        }
    }
    if let Some(counted) = read::<Counted>(folder, "instructions")? {
        instructions(&mut page, &counted);
    }
    if let Some(tasks) = read::<Tasks>(folder, "tasks")? {
        crate::tasks::section(&mut page, &tasks);
        machine(&mut page, &tasks.machine, "tasks");
    }
    if let Some(approvals) = read::<Approvals>(folder, "approvals")? {
        crate::approvals::section(&mut page, &approvals);
        machine(&mut page, &approvals.machine, "approvals");
    }
    if let Some(audit) = read::<Audit>(folder, "audit")? {
        crate::audit::summary::section(&mut page, &audit);
        machine(&mut page, &audit.machine, "audit");
    }
    if let Some(handshakes) = read::<Handshakes>(folder, "handshakes")? {
        crate::handshakes::summary::section(&mut page, &handshakes);
        let Handshakes { machine: at, nginx_workers, .. } = &handshakes;
        machine(&mut page, at, &format!("{} with `worker_processes {nginx_workers}`", at.nginx));
    }
    if let Some(abuse) = read::<Abuse>(folder, "abuse")? {
        crate::abuse::summary::section(&mut page, &abuse);
        machine(&mut page, &abuse.machine, "abuse");
    }
    std::fs::write(folder.join("README.md"), &page).map_err(|error| Fault::new("results", error))?;
    Ok(page)
}

fn read<T: for<'a> Deserialize<'a>>(folder: &Path, name: &str) -> Result<Option<T>, Fault> {
    let Ok(text) = std::fs::read(folder.join(format!("{name}.json"))) else { return Ok(None) };
    let failed = |error| {
        Fault::new("results", format!("{name}.json is of another version: {error}")).hint("delete it and measure again")
    };
    serde_json::from_slice(&text).map(Some).map_err(failed)
}

fn section(page: &mut String, report: &Report) {
    let _ = write!(page, "\n## {}\n\n{}\n", report.scenario, report.what);
    let _ = writeln!(page, "{} rounds of {} s for each target.\n", report.rounds, report.seconds);
    let streams = report.points.iter().any(|point| {
        [&point.summary.direct, &point.summary.moongate].into_iter().flatten().any(|f| f.first_event_p99_us.is_some())
    });
    page.push_str("| connections | | p50 µs | p99 µs | requests/s |");
    page.push_str(if streams { " events/s | first event p99 µs |" } else { "" });
    page.push_str(" CPU µs/request | RSS MiB |\n|--:|---|--:|--:|--:|--:|--:|");
    page.push_str(if streams { "--:|--:|\n" } else { "\n" });
    for point in &report.points {
        let summary = &point.summary;
        let rows = [("direct", &summary.direct), ("nginx", &summary.nginx), ("Moongate", &summary.moongate)];
        for (name, figures) in rows {
            if let Some(figures) = figures {
                row(page, point.connections, name, figures, streams);
            }
        }
    }
    page.push('\n');
    for point in &report.points {
        ratios(page, point.connections, &point.summary, streams);
    }
    for (name, idle) in [("Moongate", report.idle_rss_kib), ("nginx", report.nginx_idle_rss_kib)] {
        if let Some(kib) = idle {
            let _ = writeln!(page, "- {name}'s memory before the first request: {:.1} MiB", mebibytes(kib));
        }
    }
    machine(
        page,
        &report.machine,
        &format!("{} with `worker_processes {}`", report.machine.nginx, report.nginx_workers),
    );
}

fn row(page: &mut String, connections: usize, name: &str, figures: &Figures, streams: bool) {
    let _ = write!(
        page,
        "| {connections} | {name} | {:.1} | {:.1} | {:.0} |",
        figures.p50_us, figures.p99_us, figures.per_second
    );
    let cell = |value: Option<f64>, digits: usize| value.map_or(String::new(), |value| format!("{value:.digits$}"));
    if streams {
        let _ = write!(page, " {} | {} |", cell(figures.events_per_second, 0), cell(figures.first_event_p99_us, 1));
    }
    let rss = cell(figures.rss_kib.map(mebibytes), 1);
    let _ = writeln!(page, " {} | {rss} |", cell(figures.cpu_us_per_request, 1));
}

fn mebibytes(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

fn ratios(page: &mut String, connections: usize, summary: &Summary, streams: bool) {
    let mut line = |what: &str, ratio: &Option<Ratio>, digits: usize| {
        if let Some(Ratio { median, min, max }) = ratio {
            let s = if connections == 1 { "" } else { "s" };
            let _ = writeln!(
                page,
                "- {connections} connection{s}, {what}: **{median:.digits$}** (rounds: {min:.digits$} to {max:.digits$})"
            );
        }
    };
    // With many connections a median is a queue's, and what is added to it says nothing; the length of a stream is
    // mostly the agent's affair.
    if connections == 1 && !streams {
        line("nginx adds to the median, µs", &summary.nginx_adds_us, 1);
        line("Moongate adds to the median, µs", &summary.moongate_adds_us, 1);
        line("Moongate adds, × nginx", &summary.added_ratio, 2);
        line("Moongate's median, × nginx", &summary.latency_ratio, 2);
    }
    line("throughput, × nginx", &summary.throughput_ratio, 2);
    line("throughput, × direct", &summary.throughput_ratio_to_direct, 2);
    line("first event p50, µs more than nginx", &summary.first_event_p50_more_us, 1);
    line("first event p99, µs more than nginx", &summary.first_event_p99_more_us, 1);
}

fn machine(page: &mut String, machine: &Machine, with: &str) {
    let Machine { date, commit, command, cores, processor, system, load_before, .. } = machine;
    let _ = writeln!(
        page,
        "- {date} UTC, commit `{commit}`, {cores} cores ({processor}), {system}, load before {load_before}, {with}: \
         `{command}`"
    );
}

fn instructions(page: &mut String, counted: &Counted) {
    page.push_str(
        "\n## instructions\n\nUser-space instructions of the gateway for one SendMessage (callgrind): the \
        difference of 2N and N requests at one connection.\n\n| by | agents | instructions/request | least | most |\n|---|--:|--:|--:|--:|\n",
    );
    for way in &counted.ways {
        for count in &way.counts {
            let least = count.repeats.iter().copied().min_by(f64::total_cmp).unwrap_or_default();
            let most = count.repeats.iter().copied().max_by(f64::total_cmp).unwrap_or_default();
            let _ =
                writeln!(page, "| {} | {} | {:.0} | {least:.0} | {most:.0} |", way.by, count.agents, count.per_request);
        }
    }
    page.push('\n');
    for way in &counted.ways {
        let _ = writeln!(page, "- {}: **{:+.1} %** from few agents to many", way.by, way.growth_percent);
    }
    if let Some(Guarded { rules, candidates, added_percent, count }) = &counted.guarded {
        let _ = writeln!(
            page,
            "- with a token that was verified before, and {rules} rules of which {candidates} concern the request: \
             {:.0}, **{added_percent:+.1} %** against the same request without either",
            count.per_request
        );
    }
    machine(page, &counted.machine, &format!("N = {}", counted.requests));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::instructions::{Count, Way};
    use crate::run::scenario::Target::{Direct, Moongate, Nginx};
    use crate::run::summary::tests::run;

    fn sample() -> Report {
        let runs = vec![run(0, Direct, 50.0, 1000.0), run(0, Nginx, 60.0, 900.0), run(0, Moongate, 70.0, 800.0)];
        Report {
            scenario: "a2a-stream".to_owned(),
            what: "A sentence.".to_owned(),
            machine: Machine::look("nginx/1"),
            rounds: 1,
            seconds: 0.5,
            nginx_workers: "auto".to_owned(),
            idle_rss_kib: Some(10 * 1024),
            nginx_idle_rss_kib: None,
            points: vec![Point { connections: 1, summary: Summary::of(&runs), runs }],
        }
    }

    #[test]
    fn a_report_reads_back_as_it_was_written_and_makes_a_page() {
        let folder = std::env::temp_dir().join(format!("moongate-bench-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let report = sample();
        write(&folder, &report).unwrap();
        assert_eq!(read::<Report>(&folder, "a2a-stream").unwrap(), Some(report.clone()));
        let count =
            |agents, per_request| Count { agents, per_request, repeats: vec![per_request - 5.0, per_request + 5.0] };
        let counts = vec![count(1, 1000.0), count(10, 1010.0)];
        let way = Way { by: "name".to_owned(), growth_percent: 1.0, counts };
        let guarded = Guarded { rules: 200, candidates: 3, added_percent: 4.5, count: count(1, 1045.0) };
        let counted = Counted { machine: report.machine, requests: 5, ways: vec![way], guarded: Some(guarded) };
        write_json(&folder, "instructions", &counted).unwrap();
        let handshakes = crate::handshakes::summary::tests::sample(Machine::look("nginx/1"));
        write_json(&folder, "handshakes", &handshakes).unwrap();
        assert_eq!(read::<Handshakes>(&folder, "handshakes").unwrap(), Some(handshakes));
        let abuse = crate::abuse::summary::tests::sample(Machine::look("left out"));
        write_json(&folder, "abuse", &abuse).unwrap();
        assert_eq!(read::<Abuse>(&folder, "abuse").unwrap(), Some(abuse));
        let page = write_summary(&folder).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(page.contains("| 1 | Moongate | 70.0 | 140.0 | 800 |"), "{page}");
        assert!(page.contains("first event p50, µs more than nginx: **10.0** (rounds: 10.0 to 10.0)"), "{page}");
        assert!(page.contains("- name: **+1.0 %** from few agents to many"), "{page}");
        assert!(page.contains("1045, **+4.5 %** against"), "{page}");
        assert!(page.contains("## handshakes") && page.contains("nginx/1 with `worker_processes auto`"), "{page}");
        assert!(page.contains("## abuse"), "{page}");
        assert!(!page.contains("## cards"));
        for table in page.split("\n\n").filter(|part| part.starts_with('|')) {
            let widths: Vec<usize> = table.lines().map(|line| line.matches('|').count()).collect();
            assert!(widths.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
        }
    }
}
