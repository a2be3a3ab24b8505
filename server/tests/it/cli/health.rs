//! `callboard health` asks a server that is ready, one that is not, and none.

use tokio::process::Command;

use crate::process::{Home, Process, text};

use super::{assert_contains, complained, output, said};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_ready_is_found_by_its_settings_and_by_its_url() {
    let home = Home::new();
    let process = home.serve().await;
    // As in a container: the settings of the server, and no token.
    let mut by_settings = home.command(&["health"]);
    by_settings.env("CALLBOARD_LISTEN", process.address.to_string());
    by_settings.env("HTTP_PROXY", "http://127.0.0.1:1").env("http_proxy", "http://127.0.0.1:1");
    assert_eq!(said(&output(by_settings).await), "ready\n");
    let url = format!("http://{}/", process.address);
    assert_eq!(said(&home.run(&["health", "--url", &url]).await), "ready\n");
    process.stop().await;
    let gone = complained(&home.run(&["health", "--url", &url]).await);
    assert_contains(&gone, &[url.trim_end_matches('/'), "can't be reached", "is the server running?"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_of_a_neighbour_is_not_judged_and_that_of_a_url_is() {
    let home = Home::new();
    let made = rcgen::generate_simple_self_signed(["callboard.example".to_owned()]).expect("a certificate");
    std::fs::write(home.path("certificate.pem"), made.cert.pem()).expect("written");
    std::fs::write(home.path("key.pem"), made.signing_key.serialize_pem()).expect("written");
    let with_tls = |command: &mut Command| {
        command.env("CALLBOARD_TLS_CERTIFICATE_FILE", home.path("certificate.pem"));
        command.env("CALLBOARD_TLS_PRIVATE_KEY_FILE", home.path("key.pem"));
    };
    let mut server = home.server();
    with_tls(&mut server);
    let process = Process::start(server).await;
    let mut by_settings = home.command(&["health"]);
    with_tls(&mut by_settings);
    by_settings.env("CALLBOARD_LISTEN", process.address.to_string());
    assert_eq!(said(&output(by_settings).await), "ready\n");
    let url = format!("https://{}", process.address);
    let refused = complained(&home.run(&["health", "--url", &url]).await);
    assert_contains(&refused, &[&url, "certificate"]);
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_database_can_not_be_written_is_not_ready() {
    let home = Home::on_sqlite();
    let process = home.serve().await;
    process.limit_files(Some(0));
    let url = format!("http://{}", process.address);
    let reason = complained(&home.run(&["health", "--url", &url]).await);
    assert!(reason.starts_with("error: ") && reason.contains("(503)"), "{reason}");
    process.limit_files(None);
    process.until_ready().await;
    assert_eq!(text(&home.run(&["health", "--url", &url]).await.stdout), "ready\n");
    process.stop().await;
}
