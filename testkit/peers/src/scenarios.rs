//! The scenarios of the grid, in the order of its columns; the same ones as `testkit/grid/clients/client_1x.py`.

use std::time::{Duration, Instant};

use a2a::error_code::*;
use a2a::event::StreamResponse;
use a2a::*;
use serde_json::json;
use uuid::Uuid;

use crate::Flags;
use crate::peer::{Peer, configuration, follow_up, pause, say, say_to, text_of};

type Verdict = Result<String, String>;

const NAMES: [&str; 19] = [
    "card",
    "send",
    "message",
    "stream",
    "stream_message",
    "get",
    "cancel",
    "list",
    "subscribe",
    "push_config",
    "push_delivery",
    "push_inline",
    "input_required",
    "parts",
    "failed",
    "unknown_task",
    "terminal_task",
    "bad_params",
    "return_immediately",
];

/// Runs them all and prints a line for each.
pub async fn run(flags: &Flags, peer: &Peer) -> Result<(), String> {
    for name in NAMES {
        if !flags.only.is_empty() && !flags.only.iter().any(|wanted| wanted == name) {
            continue;
        }
        let started = Instant::now();
        let verdict = tokio::time::timeout(Duration::from_secs(20), one(name, flags, peer)).await;
        let (ok, detail) = match verdict {
            Ok(Ok(detail)) => (true, detail),
            Ok(Err(detail)) => (false, detail.chars().take(800).collect()),
            Err(_) => (false, "not done within 20 s".into()),
        };
        let ms = started.elapsed().as_millis() as u64;
        println!("{}", json!({ "scenario": name, "ok": ok, "detail": detail, "ms": ms }));
    }
    Ok(())
}

async fn one(name: &str, flags: &Flags, peer: &Peer) -> Verdict {
    match name {
        "card" => card(flags, peer),
        "send" => send(peer).await,
        "message" => message(peer).await,
        "stream" => stream(peer).await,
        "stream_message" => stream_message(peer).await,
        "get" => get(peer).await,
        "cancel" => cancel(peer).await,
        "list" => list(peer).await,
        "subscribe" => subscribe(peer).await,
        "push_config" => push_config(peer).await,
        "push_delivery" => push_delivery(peer).await,
        "push_inline" => push_inline(peer).await,
        "input_required" => input_required(peer).await,
        "parts" => parts(peer).await,
        "failed" => failed(peer).await,
        "unknown_task" => unknown_task(peer).await,
        "terminal_task" => terminal_task(peer).await,
        "bad_params" => bad_params(peer).await,
        "return_immediately" => return_immediately(peer).await,
        _ => Err("no such scenario".into()),
    }
}

fn check(holds: bool, words: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words()) }
}

fn refused<T: std::fmt::Debug>(answer: Result<T, A2AError>, code: i32) -> Result<(), String> {
    match answer {
        Err(error) if error.code == code => Ok(()),
        Err(error) => Err(format!("wanted {code}, got {}", say(error))),
        Ok(answer) => Err(format!("wanted {code}, got an answer: {answer:?}")),
    }
}

fn in_state(task: &Task, state: TaskState) -> Result<(), String> {
    check(task.status.state == state, || format!("{state:?} wanted, got {:?}", task.status))
}

fn card(flags: &Flags, peer: &Peer) -> Verdict {
    for member in ["name", "description", "supportedInterfaces", "version", "skills", "capabilities"] {
        check(peer.raw_card.get(member).is_some(), || format!("the card lacks {member}"))?;
    }
    if flags.proxied {
        let own = flags.base.split('/').nth(2).unwrap_or_default();
        for interface in &peer.card.supported_interfaces {
            let url = &interface.url;
            let place = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).split('/').next();
            check(place == Some(own), || format!("the card names {url}, which is not at {own}"))?;
        }
    }
    Ok(format!("{} interfaces", peer.card.supported_interfaces.len()))
}

async fn send(peer: &Peer) -> Verdict {
    let task = peer.task(say_to("echo hello grid")).await?;
    in_state(&task, TaskState::Completed)?;
    check(text_of(&task) == "hello grid", || format!("artifact says {}", text_of(&task)))?;
    check(!task.id.is_empty() && !task.context_id.is_empty(), || "ids missing".into())?;
    Ok(String::new())
}

async fn message(peer: &Peer) -> Verdict {
    match peer.send(say_to("message good evening")).await.map_err(say)? {
        SendMessageResponse::Message(said) if said.text() == Some("good evening") && said.role == Role::Agent => {
            Ok(String::new())
        }
        other => Err(format!("a message wanted, got {other:?}")),
    }
}

async fn stream(peer: &Peer) -> Verdict {
    let events = peer.stream(say_to("stream 3")).await.map_err(say)?;
    let Some(StreamResponse::Task(first)) = events.first() else {
        return Err(format!("first the task, got {events:?}"));
    };
    let (mut chunks, mut states) = (Vec::new(), Vec::new());
    for event in &events {
        match event {
            StreamResponse::ArtifactUpdate(update) => {
                chunks.push((update.artifact.parts[0].as_text().unwrap_or_default(), update.append == Some(true)));
            }
            StreamResponse::StatusUpdate(update) => states.push(update.status.state.clone()),
            _ => {}
        }
    }
    let wanted = [("chunk1 ", false), ("chunk2 ", true), ("chunk3 ", true)];
    check(chunks == wanted, || format!("chunks {chunks:?}"))?;
    check(states == [TaskState::Working, TaskState::Completed], || format!("states {states:?}"))?;
    let task = peer.get(&first.id, None).await.map_err(say)?;
    check(text_of(&task) == "chunk1 chunk2 chunk3 ", || format!("after the stream {}", text_of(&task)))?;
    Ok(String::new())
}

async fn stream_message(peer: &Peer) -> Verdict {
    let events = peer.stream(say_to("message hi")).await.map_err(say)?;
    check(matches!(events[..], [StreamResponse::Message(_)]), || format!("streamed message {events:?}"))?;
    Ok(String::new())
}

async fn get(peer: &Peer) -> Verdict {
    let made = peer.task(say_to("echo again")).await?;
    let task = peer.get(&made.id, None).await.map_err(say)?;
    in_state(&task, TaskState::Completed)?;
    let same = task.id == made.id && task.context_id == made.context_id && text_of(&task) == "again";
    check(same, || format!("got {task:?}"))?;
    let asked = task.history.iter().flatten().any(|message| message.role == Role::User);
    check(asked, || "the user's message is not in history".into())?;
    let bare = peer.get(&made.id, Some(0)).await.map_err(say)?;
    check(bare.history.iter().flatten().next().is_none(), || "historyLength 0 gave history".into())?;
    Ok(String::new())
}

async fn cancel(peer: &Peer) -> Verdict {
    let task = peer.slow().await?;
    let canceled = peer.cancel(&task.id).await.map_err(say)?;
    in_state(&peer.settled(canceled).await?, TaskState::Canceled)?;
    in_state(&peer.get(&task.id, None).await.map_err(say)?, TaskState::Canceled)?;
    Ok(String::new())
}

fn page() -> ListTasksRequest {
    ListTasksRequest {
        context_id: None,
        status: None,
        page_size: None,
        page_token: None,
        history_length: None,
        status_timestamp_after: None,
        include_artifacts: None,
        tenant: None,
    }
}

async fn list(peer: &Peer) -> Verdict {
    let first = peer.task(say_to("echo listed")).await?;
    let second = peer.task(say_to("echo listed too")).await?;
    let request = ListTasksRequest { context_id: Some(first.context_id.clone()), ..page() };
    let answer = peer.client.list_tasks(&request).await.map_err(say)?;
    check(answer.tasks.len() == 1 && answer.tasks[0].id == first.id, || format!("by context {answer:?}"))?;
    let request = ListTasksRequest { page_size: Some(1), ..page() };
    let answer = peer.client.list_tasks(&request).await.map_err(say)?;
    check(answer.tasks.len() == 1 && answer.tasks[0].id == second.id, || format!("newest first {answer:?}"))?;
    check(!answer.next_page_token.is_empty() && answer.total_size >= 2, || format!("next page {answer:?}"))?;
    let token = Some(answer.next_page_token);
    let request = ListTasksRequest { page_size: Some(1), page_token: token, include_artifacts: Some(true), ..page() };
    let answer = peer.client.list_tasks(&request).await.map_err(say)?;
    let good = answer.tasks.len() == 1 && answer.tasks[0].id == first.id && text_of(&answer.tasks[0]) == "listed";
    check(good, || format!("page 2 {answer:?}"))?;
    Ok(String::new())
}

async fn subscribe(peer: &Peer) -> Verdict {
    let task = peer.slow().await?;
    let (one, two, canceled) = tokio::join!(peer.subscribe(&task.id), peer.subscribe(&task.id), async {
        pause(400).await;
        peer.cancel(&task.id).await
    });
    canceled.map_err(say)?;
    for events in [one.map_err(say)?, two.map_err(say)?] {
        let first = matches!(events.first(), Some(StreamResponse::Task(seen)) if seen.id == task.id);
        check(first, || format!("first the task, got {events:?}"))?;
        let last = matches!(events.last(), Some(StreamResponse::StatusUpdate(update))
            if update.status.state == TaskState::Canceled);
        check(last, || format!("ends with {:?}", events.last()))?;
    }
    Ok(String::new())
}

fn config(task_id: &str, id: Option<&str>, url: String, token: &str) -> TaskPushNotificationConfig {
    let bearer = AuthenticationInfo { scheme: "Bearer".into(), credentials: Some("letmein".into()) };
    TaskPushNotificationConfig {
        url,
        id: id.map(Into::into),
        task_id: task_id.into(),
        token: Some(token.into()),
        authentication: Some(bearer),
        tenant: None,
    }
}

async fn push_config(peer: &Peer) -> Verdict {
    let task = peer.slow().await?;
    let url = peer.receiver.url("/unused");
    let made = peer.client.create_push_config(&config(&task.id, Some("one"), url.clone(), "t")).await.map_err(say)?;
    check(made.id.as_deref() == Some("one") && made.url == url, || format!("created {made:?}"))?;
    let named = GetTaskPushNotificationConfigRequest { task_id: task.id.clone(), id: "one".into(), tenant: None };
    let got = peer.client.get_push_config(&named).await.map_err(say)?;
    check(got.url == url && got.task_id == task.id, || format!("got {got:?}"))?;
    let listing = ListTaskPushNotificationConfigsRequest {
        task_id: task.id.clone(),
        page_size: None,
        page_token: None,
        tenant: None,
    };
    let listed = peer.client.list_push_configs(&listing).await.map_err(say)?;
    check(listed.configs.len() == 1, || format!("listed {listed:?}"))?;
    let removal = DeleteTaskPushNotificationConfigRequest { task_id: task.id.clone(), id: "one".into(), tenant: None };
    peer.client.delete_push_config(&removal).await.map_err(say)?;
    let listed = peer.client.list_push_configs(&listing).await.map_err(say)?;
    check(listed.configs.is_empty(), || format!("still there {listed:?}"))?;
    peer.cancel(&task.id).await.map_err(say)?;
    Ok(String::new())
}

async fn push_delivery(peer: &Peer) -> Verdict {
    let task = peer.slow().await?;
    let path = format!("/set/{}", task.id);
    let wanted = config(&task.id, Some("d"), peer.receiver.url(&path), "secret-token");
    peer.client.create_push_config(&wanted).await.map_err(say)?;
    peer.cancel(&task.id).await.map_err(say)?;
    let post = peer.receiver.wait(&path, "TASK_STATE_CANCELED").await?;
    let lines = ["x-a2a-notification-token: secret-token", "authorization: bearer letmein"];
    for line in lines {
        check(post.head.lines().any(|seen| seen == line), || format!("no {line} in {}", post.head))?;
    }
    Ok(String::new())
}

async fn push_inline(peer: &Peer) -> Verdict {
    let path = format!("/inline/{}", Uuid::new_v4());
    let mut request = say_to("stream 2");
    request.configuration = Some(configuration(false, Some(config("", None, peer.receiver.url(&path), "inline"))));
    peer.task(request).await?;
    peer.receiver.wait(&path, "TASK_STATE_COMPLETED").await?;
    Ok(String::new())
}

async fn input_required(peer: &Peer) -> Verdict {
    let task = peer.task(say_to("ask")).await?;
    in_state(&task, TaskState::InputRequired)?;
    let asked = task.status.message.as_ref().and_then(Message::text);
    check(asked == Some("which colour?"), || format!("{:?}", task.status))?;
    let task = peer.task(follow_up("blue", &task)).await?;
    in_state(&task, TaskState::Completed)?;
    check(text_of(&task) == "answered blue", || format!("after the answer {task:?}"))?;
    let again = peer.task(say_to("ask")).await?;
    peer.stream(follow_up("red", &again)).await.map_err(say)?;
    let last = peer.get(&again.id, None).await.map_err(say)?;
    in_state(&last, TaskState::Completed)?;
    check(text_of(&last) == "answered red", || format!("streamed answer {last:?}"))?;
    Ok(String::new())
}

async fn parts(peer: &Peer) -> Verdict {
    let bytes: Vec<u8> = (0..=255).collect();
    let data = json!({"lamp": "kitchen", "level": 0.5, "on": true, "none": null, "deep": [{"a": [1, 2]}]});
    let given = vec![
        Part::raw(bytes).with_filename("all.bin").with_media_type("application/octet-stream"),
        Part::url("https://files.example/plan.pdf").with_filename("plan.pdf").with_media_type("application/pdf"),
        Part::data(data),
    ];
    let mut request = say_to("file");
    request.message.parts.extend(given.clone());
    let task = peer.task(request).await?;
    let got = task.artifacts.iter().flatten().next().map(|artifact| plain(&artifact.parts)).unwrap_or_default();
    check(got == plain(&given), || format!("got {got:?}"))?;
    Ok(String::new())
}

/// Parts as text, so that 1 and 1.0 compare equal (gRPC has one kind of number).
fn plain(parts: &[Part]) -> Vec<String> {
    let text = |part| serde_json::to_value(part).map(|value| value.to_string()).unwrap_or_default();
    parts.iter().map(|part| text(part).replace("1.0", "1").replace("2.0", "2")).collect()
}

async fn failed(peer: &Peer) -> Verdict {
    let task = peer.task(say_to("fail")).await?;
    in_state(&task, TaskState::Failed)?;
    check(task.status.message.is_some(), || format!("no reason in {:?}", task.status))?;
    in_state(&peer.task(say_to("reject")).await?, TaskState::Rejected)?;
    Ok(String::new())
}

async fn unknown_task(peer: &Peer) -> Verdict {
    let nobody = Uuid::new_v4().to_string();
    refused(peer.get(&nobody, None).await, TASK_NOT_FOUND)?;
    refused(peer.cancel(&nobody).await, TASK_NOT_FOUND)?;
    let mut request = say_to("echo x");
    request.message.task_id = Some(nobody.clone());
    refused(peer.send(request).await, TASK_NOT_FOUND)?;
    refused(peer.subscribe(&nobody).await, TASK_NOT_FOUND)?;
    Ok(String::new())
}

async fn terminal_task(peer: &Peer) -> Verdict {
    let done = peer.task(say_to("echo done")).await?;
    refused(peer.send(follow_up("echo more", &done)).await, UNSUPPORTED_OPERATION)?;
    refused(peer.cancel(&done.id).await, TASK_NOT_CANCELABLE)?;
    refused(peer.subscribe(&done.id).await, UNSUPPORTED_OPERATION)?;
    Ok(String::new())
}

async fn bad_params(peer: &Peer) -> Verdict {
    let mut request = say_to("");
    request.message.parts.clear();
    refused(peer.send(request).await, INVALID_PARAMS)?;
    let request = ListTasksRequest { page_size: Some(1000), ..page() };
    refused(peer.client.list_tasks(&request).await, INVALID_PARAMS)?;
    let done = peer.task(say_to("echo x")).await?;
    refused(peer.get(&done.id, Some(-1)).await, INVALID_PARAMS)?;
    Ok(String::new())
}

async fn return_immediately(peer: &Peer) -> Verdict {
    let started = Instant::now();
    let task = peer.slow().await?;
    check(started.elapsed() < Duration::from_secs(3), || format!("took {:?}", started.elapsed()))?;
    let seen = peer.get(&task.id, None).await.map_err(say)?;
    check(!seen.status.state.is_terminal(), || format!("no longer running: {:?}", seen.status))?;
    peer.cancel(&task.id).await.map_err(say)?;
    Ok(String::new())
}
