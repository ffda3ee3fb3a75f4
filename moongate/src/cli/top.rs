//! `moongate top`: how the running gateway fares, in figures that renew themselves.
//!
//! The figures are the difference of two looks at `/metrics`, so they are those that any collector would get; who is there,
//! what waits and what people are asked comes from the API.

mod figures;
mod screen;

use std::io::IsTerminal as _;
use std::pin::pin;
use std::time::Duration;

use clap::Args;
use moongate_core::seam::Clock;
use moongate_core::{Code, Mono, Problem};
use moongate_telemetry::SystemClock;

use super::client::Client;
use super::output::{Palette, data, painted, written};
use super::{Context, Ending, Failure, terminated};
use figures::Look;
use screen::{Picture, Said, Terminal};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(5);
/// What fits where the terminal does not say how large it is.
const SIZE: (usize, usize) = (120, 40);

/// Arguments.
#[derive(Args)]
pub(crate) struct Top {
    /// Print one picture and end, as where the output is no terminal.
    #[arg(long)]
    once: bool,
    /// How many seconds lie between two looks.
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    every: u64,
}

/// Shows pictures until told to end.
pub(crate) fn top(context: &Context, arguments: &Top) -> Result<Ending, Failure> {
    let client = Client::new(context)?.patient(PATIENCE);
    let every = Duration::from_secs(arguments.every);
    let live = std::io::stdout().is_terminal() && !arguments.once && !context.json;
    Ok(client.run(async {
        let mut end = pin!(terminated());
        tokio::select! {
            shown = show(&client, every, context.json, live) => shown,
            () = &mut end => Ok(Ending::Yes),
        }
    })?)
}

async fn show(client: &Client, every: Duration, json: bool, live: bool) -> Result<Ending, Problem> {
    let mut before = (look(client).await?, SystemClock.mono());
    let palette = Palette::of(std::io::stdout().is_terminal());
    let terminal = live.then(Terminal::take);
    loop {
        tokio::time::sleep(every).await;
        let picture = picture(client, &mut before).await;
        let Some(terminal) = &terminal else {
            let picture = picture?;
            if json {
                data(&written(&picture.view()));
            } else {
                picture.lines(usize::MAX, palette).iter().for_each(|line| painted(line));
            }
            return Ok(Ending::Yes);
        };
        let (columns, rows) = size();
        let lines = match picture {
            Ok(picture) => picture.lines(columns, palette),
            // One that restarts is back soon; another mistake does not go away by itself.
            Err(problem) if problem.code == Code::GatewayUnreachable => {
                vec![palette.result("down", &format!("{}; asking again", problem.detail))]
            }
            Err(problem) => return Err(problem),
        };
        if !terminal.show(&lines, rows) {
            return Ok(Ending::Yes);
        }
    }
}

/// The picture of now; this look is the next one's earlier.
async fn picture(client: &Client, before: &mut (Look, Mono)) -> Result<Picture, Problem> {
    let said = Said {
        look: look(client).await?,
        agents: client.ask("/api/v1/agents").await?,
        queue: client.ask("/api/v1/queue").await?,
        approvals: client.ask("/api/v1/approvals").await?,
    };
    let now = SystemClock.mono();
    let picture = Picture::of(client.base(), SystemClock.now(), &said, &before.0, now.since(before.1));
    *before = (said.look, now);
    Ok(picture)
}

async fn look(client: &Client) -> Result<Look, Problem> {
    let answer = client.exchange("GET", "/metrics", None, false).await?;
    if answer.status != 200 {
        return Err(Problem::new(Code::CommandFailed, format!("/metrics answered HTTP {}", answer.status)));
    }
    Ok(Look::read(&String::from_utf8_lossy(&answer.body)))
}

/// Columns and rows of the terminal.
fn size() -> (usize, usize) {
    terminal_size::terminal_size()
        .map_or(SIZE, |(terminal_size::Width(columns), terminal_size::Height(rows))| (columns.into(), rows.into()))
}
