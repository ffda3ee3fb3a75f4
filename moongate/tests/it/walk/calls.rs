//! Every operation of A2A, in every binding and version that has it.

use moongate_testkit::agent::{Agent, Plan};
use serde_json::{Value, json};

use super::{Book, HOME, ended};
use crate::stage::{Binding, Caller, Operation, SPEAKERS, Version, on, saying};
use crate::support::{Gateway, MOONGATE};
use crate::websocket::Socket;

fn params(operation: Operation) -> Value {
    match operation {
        Operation::Send | Operation::Stream => saying("echo walk"),
        Operation::PushCreate => json!({"taskId": "walk", "url": "https://hooks.example/walk"}),
        Operation::PushGet | Operation::PushDelete => json!({"taskId": "walk", "id": "walk"}),
        Operation::PushList => json!({"taskId": "walk"}),
        Operation::List | Operation::ExtendedCard => json!({}),
        Operation::Get | Operation::Cancel | Operation::Subscribe | Operation::Pause | Operation::Resume => on("walk"),
    }
}

/// Whether a version knows an operation in a binding, by the tables that the gateway itself reads them with.
fn has(operation: Operation, binding: Binding, version: Version) -> bool {
    use moongate_wire::a2a::operation::{grpc_path, jsonrpc_method};
    match binding {
        Binding::JsonRpc => jsonrpc_method(operation, version).is_some(),
        Binding::Grpc => grpc_path(operation, version).is_some(),
        Binding::Http => version == Version::V1 || !matches!(operation, Operation::Pause | Operation::Resume),
    }
}

#[tokio::test]
async fn every_operation_leaves_a_line_in_every_binding() {
    let agent = Agent::start(Plan::new("able")).await;
    let gateway = Gateway::start(MOONGATE, &format!("{HOME}{}", agent.entry(""))).await;
    let mut book = Book::of(&gateway);
    book.since(&gateway).await;
    let (mut silent, mut asked) = (Vec::new(), 0);
    for (binding, version) in SPEAKERS {
        for operation in Operation::ALL.into_iter().filter(|operation| has(*operation, binding, version)) {
            let caller = Caller::new(&gateway.plain(), binding, version);
            caller.whole(operation, &params(operation)).await;
            asked += 1;
            let lines = book.since(&gateway).await;
            if !lines.iter().any(|line| ended(line, operation.as_str()) && line["request"].is_string()) {
                silent.push(format!("{operation:?} {binding:?} {version:?}: {lines:?}"));
            }
        }
    }
    let mut socket = Socket::open(&gateway, "/a2a/ws").await;
    for operation in Operation::ALL {
        let method = moongate_wire::a2a::operation::jsonrpc_method(operation, Version::V1).unwrap();
        socket.ask(method, method, &params(operation)).await;
        if operation == Operation::Stream {
            drop(socket.rest(method).await)
        } else {
            drop(socket.next().await)
        }
        asked += 1;
        let lines = book.since(&gateway).await;
        if !lines.iter().any(|line| ended(line, operation.as_str())) {
            silent.push(format!("{operation:?} WebSocket: {lines:?}"));
        }
    }
    assert!(silent.is_empty(), "these leave no line in the audit log:\n{}", silent.join("\n"));
    assert!(asked > 60, "only {asked} were asked for");
}
