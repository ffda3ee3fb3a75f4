//! After the scene: what to try, and what is told when an agent ends.

use futures_util::future::select_all;
use serde_json::json;

use super::client::Client;
use super::home::{Home, Member};
use super::scene;
use super::story::{Step, Story};

/// Says so if an agent ended while the scene was played, for a home that will not be watched.
pub(super) fn already_dead(home: &mut Home, story: &Story) {
    for member in &mut home.agents {
        if let Ok(Some(how)) = member.child.try_wait() {
            let words = format!("The {} agent (process {}) has ended meanwhile: {how}.", member.name, member.pid);
            story.step(Step::new("ended", words).well(false).facts(json!({"agent": member.name, "pid": member.pid})));
        }
    }
}

/// What somebody may try in another terminal.
pub(super) fn addresses(home: &Home, story: &Story) {
    let (plain, config) = (home.plain(), home.config.display());
    let program = program();
    let pid = home.agents.iter().find(|member| member.name == "security").map(|member| member.pid).unwrap_or_default();
    story.title("The home stays as it is. In another terminal:");
    let tries = [
        ("what there is", format!("curl {plain}/.well-known/agent-card.json")),
        ("who is there", format!("{program} --config {config} agents")),
        ("say something", format!("{program} --config {config} send 'turn the kitchen light on'")),
        ("by skill id", format!("{program} --config {config} send --skill heating.set 'to 19.5 degrees'")),
        ("end an agent", format!("kill -9 {pid}")),
    ];
    let words: Vec<String> = tries.iter().map(|(what, command)| format!("{what:<14} {command}")).collect();
    story.step(
        Step::new("addresses", words.join("\n"))
            .facts(json!({"config": home.config, "plain": plain, "admin": home.admin()})),
    );
    story.title("Ctrl-C ends the home. When an agent ends, it is told here.");
}

/// This program, as a shell finds it.
pub(super) fn program() -> String {
    std::env::current_exe().map_or_else(|_| "moongate".to_owned(), |path| path.display().to_string())
}

/// Waits for agents to end, and tells what that changes; never ends by itself.
pub(super) async fn watch(home: &mut Home, client: &Client, story: &Story) {
    let mut alive: Vec<&mut Member> = home.agents.iter_mut().collect();
    while !alive.is_empty() {
        let ends = alive.iter_mut().map(|member| Box::pin(member.child.wait()));
        let (how, which, _) = select_all(ends).await;
        let gone = alive.remove(which);
        let how = how.map_or_else(|error| error.to_string(), |status| status.to_string());
        told_end(client, story, gone, &how).await;
        for other in &alive {
            told_rest(client, story, other).await;
        }
    }
    story.title("No agent is left.");
    std::future::pending().await
}

/// What the gateway says now that an agent is gone.
async fn told_end(client: &Client, story: &Story, gone: &Member, how: &str) {
    let (name, skill) = (gone.name, gone.skill);
    story.title(&format!("The {name} agent (process {}) has ended: {how}.", gone.pid));
    let (answer, problem) = match scene::status(client, name).await {
        Ok((words, _)) => (format!("an answer all the same: {words}"), None),
        Err(trouble) => (trouble.to_string(), trouble.code),
    };
    let words = format!("The gateway, asked for {skill}, says: {answer}");
    let facts = json!({"agent": name, "pid": gone.pid, "how": how, "skill": skill, "problem": problem});
    story.step(Step::new("ended", words).well(false).facts(facts));
}

/// That the others go on.
async fn told_rest(client: &Client, story: &Story, other: &Member) {
    let (words, well) = match scene::status(client, other.name).await {
        Ok((words, _)) => (format!("{} still answers: {words}", other.name), true),
        Err(trouble) => (format!("{} does not answer either: {trouble}", other.name), false),
    };
    story.step(Step::new("others", words).well(well).facts(json!({ "agent": other.name })));
}
