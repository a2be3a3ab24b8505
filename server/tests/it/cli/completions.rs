//! What shells and `man` are told of the commands.

use super::{assert_contains, said};
use crate::process::Home;

#[tokio::test]
async fn shells_and_man_know_every_command() {
    let home = Home::new();
    for (shell, part) in
        [("bash", "complete -F"), ("zsh", "#compdef callboard"), ("fish", "complete -c callboard")]
    {
        let script = said(&home.run(&["completions", shell]).await);
        assert_contains(&script, &[part, "retry-failed", "completions", "dry-run"]);
    }
    assert_contains(&said(&home.run(&["man"]).await), &[".TH callboard 1", "Exit codes"]);
    let written = said(&home.run(&["man", "pages"]).await);
    assert_contains(&written, &["pages in pages"]);
    for (page, part) in [
        ("callboard.1", "listen"),
        ("callboard-webhook-create.1", "\\-\\-events"),
        ("callboard-apply.1", "prune"),
    ] {
        let text = std::fs::read_to_string(home.path("pages").join(page)).expect(page);
        assert_contains(&text, &[part]);
    }
    assert!(!home.path("pages").join("callboard-help.1").exists());
    let wrong = home.run(&["completions", "cmd"]).await;
    assert_eq!(wrong.status.code(), Some(2));
}
