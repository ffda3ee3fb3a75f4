//! The names of operations in JSON-RPC and gRPC, and the messages that they exchange.
//!
//! A2A 1.0 §5.3 names a method like its rpc; 0.3 had names of its own (`message/send`). Of 0.1 (`tasks/send`) nothing
//! is known here, so its methods are refused like any other unknown one.
//!
//! Listing tasks is 1.0's: in 0.3 it has a REST path but neither a JSON-RPC method nor an rpc, so names are optional. Pausing
//! and resuming are an extension of ours, with a gRPC service of its own; they take a CancelTaskRequest and give a Task.

use moongate_core::Operation;

use super::Version;
use super::schema::{EMPTY, Message, v0_3, v1};

/// One operation: JSON-RPC 1.0 and gRPC 1.0, JSON-RPC 0.3, gRPC 0.3.
struct Row {
    operation: Operation,
    v1: &'static str,
    v1_path: &'static str,
    v03: Option<&'static str>,
    v03_path: Option<&'static str>,
}

macro_rules! rows {
    ($($operation:ident: $v1:literal $(of $service:ident)?, $v03:tt, $v03_rpc:tt;)*) => {
        fn row(operation: Operation) -> &'static Row {
            match operation {
                $(Operation::$operation => &Row {
                    operation: Operation::$operation,
                    v1: $v1,
                    v1_path: rows!(@service $v1 $($service)?),
                    v03: rows!(@name $v03),
                    v03_path: rows!(@path $v03_rpc),
                },)*
            }
        }
    };
    (@service $v1:literal) => { concat!("/lf.a2a.v1.A2AService/", $v1) };
    (@service $v1:literal control) => { concat!("/moongate.a2a.v1.TaskControl/", $v1) };
    (@name None) => { None };
    (@name $name:literal) => { Some($name) };
    (@path None) => { None };
    (@path $rpc:literal) => { Some(concat!("/a2a.v1.A2AService/", $rpc)) };
}

rows! {
    Send: "SendMessage", "message/send", "SendMessage";
    Stream: "SendStreamingMessage", "message/stream", "SendStreamingMessage";
    Get: "GetTask", "tasks/get", "GetTask";
    List: "ListTasks", None, None;
    Cancel: "CancelTask", "tasks/cancel", "CancelTask";
    Subscribe: "SubscribeToTask", "tasks/resubscribe", "TaskSubscription";
    PushCreate: "CreateTaskPushNotificationConfig", "tasks/pushNotificationConfig/set",
        "CreateTaskPushNotificationConfig";
    PushGet: "GetTaskPushNotificationConfig", "tasks/pushNotificationConfig/get", "GetTaskPushNotificationConfig";
    PushList: "ListTaskPushNotificationConfigs", "tasks/pushNotificationConfig/list", "ListTaskPushNotificationConfig";
    PushDelete: "DeleteTaskPushNotificationConfig", "tasks/pushNotificationConfig/delete",
        "DeleteTaskPushNotificationConfig";
    ExtendedCard: "GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard", "GetAgentCard";
    Pause: "PauseTask" of control, None, None;
    Resume: "ResumeTask" of control, None, None;
}

/// The JSON-RPC method of an operation; `None` for what 0.3 does not have.
pub fn jsonrpc_method(operation: Operation, version: Version) -> Option<&'static str> {
    let row = row(operation);
    match version {
        Version::V1 => Some(row.v1),
        Version::V03 => row.v03,
    }
}

/// What a JSON-RPC method asks for, and the version that its name belongs to.
pub fn parse_jsonrpc_method(method: &str) -> Option<(Operation, Version)> {
    find(method, |row| [Some(row.v1), row.v03])
}

/// The HTTP/2 path of an operation in gRPC; `None` for what 0.3 does not have.
pub fn grpc_path(operation: Operation, version: Version) -> Option<&'static str> {
    let row = row(operation);
    match version {
        Version::V1 => Some(row.v1_path),
        Version::V03 => row.v03_path,
    }
}

/// What a gRPC path asks for; the package in it names the version.
pub fn parse_grpc_path(path: &str) -> Option<(Operation, Version)> {
    find(path, |row| [Some(row.v1_path), row.v03_path])
}

fn find(name: &str, names: impl Fn(&Row) -> [Option<&'static str>; 2]) -> Option<(Operation, Version)> {
    Operation::ALL.into_iter().map(row).find_map(|row| match names(row) {
        [v1, _] if v1 == Some(name) => Some((row.operation, Version::V1)),
        [_, v03] if v03 == Some(name) => Some((row.operation, Version::V03)),
        _ => None,
    })
}

/// The messages of an operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Messages {
    /// The request.
    pub(crate) request: &'static Message,
    /// The answer, or each event of a stream.
    pub(crate) answer: &'static Message,
}

/// The messages of an operation; `None` where the version does not have it.
pub(crate) fn messages(operation: Operation, version: Version) -> Option<Messages> {
    let (request, answer) = match version {
        Version::V1 => match operation {
            Operation::Send => (&v1::SEND_MESSAGE_REQUEST, &v1::SEND_MESSAGE_RESPONSE),
            Operation::Stream => (&v1::SEND_MESSAGE_REQUEST, &v1::STREAM_RESPONSE),
            Operation::Get => (&v1::GET_TASK_REQUEST, &v1::TASK),
            Operation::List => (&v1::LIST_TASKS_REQUEST, &v1::LIST_TASKS_RESPONSE),
            Operation::Cancel | Operation::Pause | Operation::Resume => (&v1::CANCEL_TASK_REQUEST, &v1::TASK),
            Operation::Subscribe => (&v1::SUBSCRIBE_TO_TASK_REQUEST, &v1::STREAM_RESPONSE),
            Operation::PushCreate => (&v1::TASK_PUSH_NOTIFICATION_CONFIG, &v1::TASK_PUSH_NOTIFICATION_CONFIG),
            Operation::PushGet => (&v1::GET_TASK_PUSH_NOTIFICATION_CONFIG_REQUEST, &v1::TASK_PUSH_NOTIFICATION_CONFIG),
            Operation::PushList => {
                (&v1::LIST_TASK_PUSH_NOTIFICATION_CONFIGS_REQUEST, &v1::LIST_TASK_PUSH_NOTIFICATION_CONFIGS_RESPONSE)
            }
            Operation::PushDelete => (&v1::DELETE_TASK_PUSH_NOTIFICATION_CONFIG_REQUEST, &EMPTY),
            Operation::ExtendedCard => (&v1::GET_EXTENDED_AGENT_CARD_REQUEST, &v1::AGENT_CARD),
        },
        Version::V03 => match operation {
            Operation::Send => (&v0_3::SEND_MESSAGE_REQUEST, &v0_3::SEND_MESSAGE_RESPONSE),
            Operation::Stream => (&v0_3::SEND_MESSAGE_REQUEST, &v0_3::STREAM_RESPONSE),
            Operation::Get => (&v0_3::GET_TASK_REQUEST, &v0_3::TASK),
            Operation::List | Operation::Pause | Operation::Resume => return None,
            Operation::Cancel => (&v0_3::CANCEL_TASK_REQUEST, &v0_3::TASK),
            Operation::Subscribe => (&v0_3::TASK_SUBSCRIPTION_REQUEST, &v0_3::STREAM_RESPONSE),
            Operation::PushCreate => {
                (&v0_3::CREATE_TASK_PUSH_NOTIFICATION_CONFIG_REQUEST, &v0_3::TASK_PUSH_NOTIFICATION_CONFIG)
            }
            Operation::PushGet => {
                (&v0_3::GET_TASK_PUSH_NOTIFICATION_CONFIG_REQUEST, &v0_3::TASK_PUSH_NOTIFICATION_CONFIG)
            }
            Operation::PushList => {
                (&v0_3::LIST_TASK_PUSH_NOTIFICATION_CONFIG_REQUEST, &v0_3::LIST_TASK_PUSH_NOTIFICATION_CONFIG_RESPONSE)
            }
            Operation::PushDelete => (&v0_3::DELETE_TASK_PUSH_NOTIFICATION_CONFIG_REQUEST, &EMPTY),
            Operation::ExtendedCard => (&v0_3::GET_AGENT_CARD_REQUEST, &v0_3::AGENT_CARD),
        },
    };
    Some(Messages { request, answer })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_operation() {
        for version in Version::ALL {
            for operation in Operation::ALL {
                let expected = messages(operation, version).map(|_| (operation, version));
                assert_eq!(jsonrpc_method(operation, version).and_then(parse_jsonrpc_method), expected);
                assert_eq!(grpc_path(operation, version).and_then(parse_grpc_path), expected);
            }
        }
    }

    #[test]
    fn names_are_those_of_the_specification() {
        assert_eq!(grpc_path(Operation::Subscribe, Version::V03), Some("/a2a.v1.A2AService/TaskSubscription"));
        assert_eq!(grpc_path(Operation::Send, Version::V1), Some("/lf.a2a.v1.A2AService/SendMessage"));
        assert_eq!(grpc_path(Operation::ExtendedCard, Version::V03), Some("/a2a.v1.A2AService/GetAgentCard"));
        assert_eq!(jsonrpc_method(Operation::Subscribe, Version::V03), Some("tasks/resubscribe"));
    }

    #[test]
    fn methods_of_0_1_and_misspelt_ones_are_unknown() {
        for method in ["tasks/send", "tasks/sendSubscribe", "sendMessage", "SendMessage ", "", "tasks/list"] {
            assert_eq!(parse_jsonrpc_method(method), None, "{method}");
        }
        for path in
            ["", "/", "/lf.a2a.v1.A2AService/", "/a2a.v1.A2AService/SubscribeToTask", "/a2a.v1.A2AService/ListTasks"]
        {
            assert_eq!(parse_grpc_path(path), None, "{path}");
        }
    }
}
