//! Users as the operator has them: the API and the command line.

use serde_json::{Value, json};

use super::{PASSWORD, command, operate, running};
use crate::registry::described;
use crate::support::*;

#[tokio::test]
async fn users_are_the_operators_and_answers_fit_their_description() {
    let gateway = running().await;
    let document = get(&gateway.admin(), "/api/v1/openapi.json").await.json();
    let refused = get(&gateway.admin(), "/api/v1/users").await;
    assert_eq!((refused.status, refused.code().as_str()), (403, "MG-0403"), "whoever is merely here may not");
    let steps: [(&str, &str, &str, Option<Value>, u16); 15] = [
        ("post", "/users", "/users", Some(json!({"name": "alice", "scopes": ["a2a:*:send"]})), 201),
        ("post", "/users", "/users", Some(json!({"name": "alice"})), 409),
        ("post", "/users", "/users", Some(json!({"name": "Al ice"})), 400),
        ("post", "/users", "/users", Some(json!({"name": "bob", "scopes": ["a2a:everything"]})), 400),
        ("post", "/users", "/users", Some(json!({"name": "bob", "password": "short"})), 400),
        ("get", "/users", "/users", None, 200),
        ("get", "/users/alice", "/users/{name}", None, 200),
        ("patch", "/users/alice", "/users/{name}", Some(json!({"scopes": ["a2a:*:get"]})), 200),
        ("patch", "/users/alice", "/users/{name}", Some(json!({"scopes": ["a2a:everything"]})), 400),
        ("post", "/users/alice:invite", "/users/{name}:invite", None, 201),
        ("post", "/users/alice:password", "/users/{name}:password", Some(json!({"password": PASSWORD})), 200),
        ("post", "/users/alice:disable", "/users/{name}:disable", None, 200),
        ("post", "/users/alice:enable", "/users/{name}:enable", None, 200),
        ("delete", "/users/alice", "/users/{name}", None, 200),
        ("get", "/users/alice", "/users/{name}", None, 404),
    ];
    for (method, path, described_as, body, status) in steps {
        let answer = operate(&gateway, &method.to_uppercase(), path, body.as_ref()).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text());
        described(&document, described_as, method, &answer);
        assert!(!answer.text().contains("argon2"));
    }
    let listed = command(&gateway, &["users"], "").await;
    assert_eq!(out(&listed), "no users; add one with `moongate users add NAME`\n");
    let refused = command(&gateway, &["users", "add", "bob", "--password"], "short\n").await;
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        err(&refused).starts_with("error[MG-0432]: the password has fewer than 12 characters"),
        "{}",
        err(&refused)
    );
}

#[tokio::test]
async fn help_texts_say_what_there_is() {
    let folder = folder();
    for words in [vec!["users"], vec!["users", "add"], vec!["users", "set"], vec!["users", "passwd"]] {
        let help = moongate(folder.path(), &[words.as_slice(), &["--help"]].concat()).await;
        insta::assert_snapshot!(format!("help_{}", words.join("_")), out(&help));
    }
}
