//! People are told by mail, and home hubs by MQTT.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use moongate_testkit::broker::{Broker, Published};
use moongate_testkit::mailbox::Mailbox;
use serde_json::{Value, json};

use crate::approvals::{open_the_door, question, told};
use crate::notify::{DOORS, home};
use crate::stage::{Caller, id, task};
use crate::support::{eventually, status};

#[tokio::test]
async fn a_letter_carries_a_link_and_no_word_of_the_requester_and_is_tried_again() {
    let mailbox = Mailbox::answering(&["451 not now"]).await;
    let mail = format!(
        "[[notify]]\nname = \"mail\"\nkind = \"mail\"\nurl = \"smtp://{}\"\nuser = \"gate\"\npassword = \"pw\"\n\
         from = \"gate@home.example\"\nto = [\"ann@home.example\", \"bob@home.example\"]\n",
        mailbox.address
    );
    let (_agent, gateway) = home(&format!("{DOORS}{mail}[oauth]\n")).await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("mother's maiden name")).await);
    let letters = mailbox.until("the second try", |letters| letters.len() == 1).await;
    let name = question(&gateway, &asked).await;
    let letter = &letters[0];
    let login = format!("PLAIN {}", STANDARD.encode("\0gate\0pw"));
    assert_eq!((letter.from.as_str(), letter.login.as_deref()), ("gate@home.example", Some(login.as_str())));
    assert_eq!(letter.to, ["ann@home.example", "bob@home.example"]);
    assert!(letter.text.contains("Subject: A yes is wanted: home, door.open\r\n"), "{}", letter.text);
    assert!(letter.text.contains(&format!("Message-ID: <{name}.pending@home.example>\r\n")), "{}", letter.text);
    let port = gateway.admin().rsplit_once(':').unwrap().1.to_owned();
    assert!(letter.text.replace("=\r\n", "").contains(&format!("http://localhost:{port}/approvals/{name}")));
    assert!(!letter.text.contains("maiden") && !letter.text.contains("pw"), "{}", letter.text);
    eventually("it is in no trouble any more", || async {
        let all = status(&gateway).await["notifications"].clone();
        (&all[0]["told"], &all[0]["failed"], &all[0]["trouble"]) == (&json!(1), &json!(1), &Value::Null)
    })
    .await;
}

#[tokio::test]
async fn a_broker_has_events_and_the_number_of_open_questions() {
    // The first message is refused: not authorized.
    let broker = Broker::answering(&[0x87]).await;
    let hub = format!(
        "[[notify]]\nname = \"hub\"\nkind = \"mqtt\"\nurl = \"mqtt://{}\"\nuser = \"gate\"\npassword = \"pw\"\ntopic = \"home/gate\"\n",
        broker.address
    );
    let (_agent, gateway) = home(&format!("{DOORS}{hub}")).await;
    broker.until("no question is open", |got| got.len() == 1 && got[0].payload == "0").await;
    let caller = Caller::rpc(&gateway.plain());
    let asked = id(&task(&caller, &open_the_door("mother's maiden name")).await);
    broker.until("it is asked", |got| got.len() == 3).await;
    let name = question(&gateway, &asked).await;
    told(&gateway, &["no", &name]).await;
    let got = broker.until("it is over", |got| got.len() == 5).await;
    let numbers: Vec<&str> = of(&got, "home/gate/open").map(|one| one.payload.as_str()).collect();
    assert_eq!(numbers, ["0", "1", "0"]);
    let events: Vec<Value> =
        of(&got, "home/gate/approval").map(|one| serde_json::from_str(&one.payload).unwrap()).collect();
    let types: Vec<&Value> = events.iter().map(|event| &event["type"]).collect();
    assert_eq!(types, ["approval.asked", "approval.over"]);
    assert!(events.iter().all(|event| event["id"] == *name) && events[1]["state"] == "denied", "{events:?}");
    for one in &got {
        assert_eq!(one.retain, one.topic == "home/gate/open", "{one:?}");
        assert!(one.connect.ends_with(b"\0\x04gate\0\x02pw") && !one.payload.contains("maiden"), "{one:?}");
    }
    let trouble = &status(&gateway).await["notifications"][0];
    assert_eq!((&trouble["told"], &trouble["failed"]), (&json!(2), &json!(1)), "{trouble}");
}

fn of<'p>(got: &'p [Published], topic: &'p str) -> impl Iterator<Item = &'p Published> {
    got.iter().filter(move |one| one.topic == topic)
}
