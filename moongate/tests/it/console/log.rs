//! The audit log at the console: lines that are found, a line that is proven, and a log that was changed.

use serde_json::Value;

use super::{operator, rpc_to, running};
use crate::people::operate;
use crate::support::*;

/// What the API finds, once it finds so many.
async fn found(gateway: &Gateway, query: &str, count: usize) -> Vec<Value> {
    let path = format!("/audit?{query}");
    let found = until(|| async {
        let answer = operate(gateway, "GET", &path, None).await;
        let lines = if answer.status == 200 { answer.json()["lines"].as_array().cloned() } else { None };
        lines.filter(|lines| lines.len() >= count)
    });
    found.await.unwrap_or_else(|| panic!("{query}: no {count} lines"))
}

#[tokio::test]
async fn lines_are_found_by_what_they_say_and_page_by_page() {
    let gateway = running("").await;
    for _ in 0..3 {
        assert_eq!(rpc_to(&gateway).await.status, 200);
    }
    let sent = found(&gateway, "operation=send", 3).await;
    assert!(sent.iter().all(|line| line["leaf"]["operation"] == "send" && line["leaf"]["source"]["id"] == "local"));
    let last = found(&gateway, "operation=send&limit=1", 1).await;
    assert_eq!((last.len(), &last[0]["index"]), (1, &sent[2]["index"]), "of more, the last ones");
    let older = found(&gateway, &format!("operation=send&limit=1&below={}", sent[2]["index"]), 1).await;
    assert_eq!(older[0]["index"], sent[1]["index"]);
    let none = operate(&gateway, "GET", "/audit?operation=send&source=nobody", None).await.json();
    assert_eq!(none["lines"].as_array().map(Vec::len), Some(0));
    for (path, status) in
        [("/audit?colour=red", 400), ("/audit?limit=0", 400), ("/audit?month=1999-01", 404), ("/audit/999999", 404)]
    {
        assert_eq!(operate(&gateway, "GET", path, None).await.status, status, "{path}");
    }
    let mut browser = operator(&gateway).await;
    let page = browser.get("/console/audit?operation=send&source=local").await.text();
    assert!(page.contains(&format!("line {}", sent[0]["index"])) && !page.contains("gateway.start"), "{page}");
    let page = browser.get("/console/audit?source=%3Cscript%3Ealert(1)%3C%2Fscript%3E").await.text();
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script>alert"), "{page}");
}

#[tokio::test]
async fn a_line_is_shown_with_its_proof_and_a_changed_log_is_told() {
    let gateway = running("").await;
    assert_eq!(rpc_to(&gateway).await.status, 200);
    let sent = found(&gateway, "operation=send", 1).await;
    let index = sent[0]["index"].as_u64().unwrap();
    let mut browser = operator(&gateway).await;
    let page = browser.get(&format!("/console/audit/{index}")).await.text();
    let proof = operate(&gateway, "GET", &format!("/audit/{index}"), None).await.json();
    for shown in [proof["vkey"].as_str().unwrap(), proof["path"][0].as_str().unwrap(), "It leads to the root"] {
        assert!(page.contains(shown), "{shown} is missing in {page}");
    }
    assert!(browser.get("/console/audit/verify").await.text().contains("are what was signed"), "{}", browser.page);

    let month = proof["checkpoint"].as_str().unwrap().lines().next().unwrap().rsplit('/').next().unwrap().to_owned();
    let entries = gateway.folder().join("audit/home.example").join(month).join("entries");
    let mut bytes = std::fs::read(&entries).unwrap();
    let at = bytes.windows(6).position(|window| window == b"\"send\"").unwrap();
    bytes[at + 1] = b'b';
    std::fs::write(&entries, bytes).unwrap();
    let report = operate(&gateway, "GET", "/audit:verify", None).await.json();
    assert_eq!(report["ok"], false, "{report}");
    assert!(browser.get("/console/audit/verify").await.text().contains("not what was signed"), "{}", browser.page);
    let broken = browser.get(&format!("/console/audit/{index}")).await;
    assert!(broken.status >= 500 && broken.text().contains("MG-0852"), "{}", broken.text());
}
