//! `moongate demo`: a whole home on this machine, and the scene "away mode" in it.
//!
//! Three agents run as processes of their own ([`agent`]) and speak different A2A; the gateway runs in this process as
//! `moongate run` would run it ([`home`]). The scene ([`scene`]) is played over real HTTP by a client that speaks one
//! dialect only ([`client`]) and believes only what it reads back. [`story`] tells it, [`watch`] goes on telling after
//! the scene, when somebody ends an agent.

mod agent;
mod answer;
mod client;
mod home;
mod scene;
mod story;
mod watch;

use clap::Args;
use serde_json::json;

use crate::cli::{Context, Ending, Failure, runtime, terminated};

pub(crate) use agent::{DemoAgent, agent};
use answer::Answerer;
use client::Client;
use home::Home;
use story::{Step, Story};

/// Arguments.
#[derive(Args)]
pub(crate) struct Demo {
    /// End after the scene instead of waiting for Ctrl-C.
    #[arg(long)]
    pub(crate) once: bool,
}

/// Plays the scene. The answer is no if a part of the home did not do what the scene wanted.
pub(crate) fn demo(context: &Context, arguments: &Demo) -> Result<Ending, Failure> {
    let level = moongate_telemetry::log::init("error", false)?;
    runtime()?.block_on(async move {
        let story = Story::new(context.json);
        story.title("A home on this machine: three agents, each a process of its own, and one gateway before them.");
        let mut home = tokio::select! {
            home = Home::start(&story, level) => home?,
            () = terminated() => return Ok(Ending::No),
        };
        let client = Client::new(home.plain(), home.admin())?;
        let people = Answerer::of(&home, arguments.once);
        let played = tokio::select! {
            () = scene::play(&client, &story, &people) => true,
            () = terminated() => false,
        };
        if played {
            stay(&mut home, &client, &story, arguments.once).await;
        }
        home.stop().await;
        Ok(if played && story.went_well() { Ending::Yes } else { Ending::No })
    })
}

/// What comes after the scene: the end at once, or whatever happens until Ctrl-C.
async fn stay(home: &mut Home, client: &Client, story: &Story, once: bool) {
    if once {
        watch::already_dead(home, story);
        let words =
            "This is the end: --once ends the home after the scene, by itself, and it answered its own question.";
        return story.step(Step::new("end", words).facts(json!({ "all_went_well": story.went_well() })));
    }
    watch::addresses(home, story);
    tokio::select! {
        () = watch::watch(home, client, story) => {}
        () = terminated() => {}
    }
}
