//! Where other domains' revocation lists come from, and what is told of them.

use moongate_testkit::pki::Authority;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::support::{Gateway, MOONGATE, eventually, get};

const LISTEN: &str = "domain = \"home.example\"\n[listen]\nmain = \"{main}\"\nplain = \"off\"\nadmin = \"127.0.0.1:0\"\n\
                      [store]\nurl = \"memory:\"\n";

/// Serves a list to whoever still waits for it once somebody has asked the other source.
async fn source(list: String, asked: watch::Sender<bool>, mut other: watch::Receiver<bool>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/list.crl", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            asked.send_replace(true);
            let waited = async {
                let mut rest = [0; 1];
                tokio::select! {
                    _ = other.wait_for(|asked| *asked) => true,
                    _ = stream.read(&mut rest) => false,
                }
            };
            if !waited.await {
                // Who was let wait does not come back to a list.
                return;
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", list.len());
            let _ = stream.write_all((head + &list).as_bytes()).await;
        }
    });
    url
}

fn peer(domain: &str, source: &str) -> String {
    format!(
        "[[peers]]\ndomain = \"{domain}\"\nbundle = \"{domain}.pem\"\nscopes = [\"a2a:*:*\"]\ncrl = [\"{source}\"]\n"
    )
}

async fn metrics(gateway: &Gateway) -> String {
    get(&gateway.url("admin"), "/metrics").await.text()
}

/// How a domain's list stands, by the one gauge that is 1.
fn state(metrics: &str, domain: &str) -> Vec<String> {
    let of = format!("moongate_revocation_list_state{{domain=\"{domain}\",");
    let held = metrics.lines().filter(|line| line.starts_with(&of) && line.ends_with(" 1"));
    held.filter_map(|line| Some(line.split("state=\"").nth(1)?.split('"').next()?.to_owned())).collect()
}

#[tokio::test]
async fn the_first_lists_of_all_domains_are_waited_for_at_once() {
    let (car, boat) = (Authority::root("Car CA"), Authority::root("Boat CA"));
    let (car_asked, boat_asked) = (watch::channel(false).0, watch::channel(false).0);
    let (of_car, of_boat) = (car_asked.subscribe(), boat_asked.subscribe());
    let car_list = source(car.crl(1, &[], 3600), car_asked, of_boat).await;
    let boat_list = source(boat.crl(1, &[], 3600), boat_asked, of_car).await;
    let toml = format!("{LISTEN}{}{}", peer("car.example", &car_list), peer("boat.example", &boat_list));
    let files = [("car.example.pem".to_owned(), car.pem()), ("boat.example.pem".to_owned(), boat.pem())];
    let gateway = Gateway::start_with(MOONGATE, &toml, &files).await;
    eventually("both lists hold", || async {
        let text = metrics(&gateway).await;
        ["car.example", "boat.example"].iter().all(|domain| state(&text, domain) == ["fresh"])
    })
    .await;
    assert!(!gateway.log_text().contains("keeps us waiting"), "{}", gateway.log_text());
}

#[tokio::test]
async fn how_lists_stand_is_told_in_metrics() {
    let car = Authority::root("Car CA");
    let toml = format!("{LISTEN}{}revocation = \"soft\"\ngrace_seconds = 3600\n", peer("car.example", "car.crl"));
    let gateway = Gateway::start_with(MOONGATE, &toml, &[("car.example.pem".to_owned(), car.pem())]).await;
    let stands = async |wanted: &str| {
        eventually(wanted, || async { state(&metrics(&gateway).await, "car.example") == [wanted] }).await;
    };
    stands("missing").await;
    let next_update = "moongate_revocation_list_next_update_timestamp_seconds{domain=\"car.example\"";
    assert!(!metrics(&gateway).await.contains(next_update), "there is no list");
    let publish = |list: String| std::fs::write(gateway.folder().join("car.crl"), list).unwrap();
    publish(car.crl(1, &[], 3600));
    stands("fresh").await;
    assert!(metrics(&gateway).await.contains(next_update));
    publish(car.crl(2, &[], 1));
    stands("grace").await;
}
