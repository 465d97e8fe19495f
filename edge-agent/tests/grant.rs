//! The publish grant: a renewed one is in use, whether or not it can be kept.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use edge_agent::{
    config::{Config, Token},
    grant::Keeper,
};

fn grant(end: u64) -> String {
    format!("e30.{}.x", URL_SAFE_NO_PAD.encode(format!("{{\"exp\":{end}}}")))
}

fn keeper(file: &std::path::Path) -> Keeper {
    let yaml = format!("signaling: https://s.example\ngrant_file: {}\n", file.display());
    Keeper::new(&Config::from_yaml(&yaml).expect("sound"))
}

#[tokio::test]
async fn a_renewed_grant_that_cannot_be_written_is_used_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("grant");
    std::fs::write(&file, grant(100)).expect("writable");
    // Something stands where the new file is to be written.
    std::fs::create_dir(folder.path().join("grant.new")).expect("writable");
    let keeper = keeper(&file);
    assert_eq!(keeper.current().await.expect("a grant").secret(), grant(100));
    keeper.renew(Token::from(grant(200))).await.expect_err("not written");
    assert_eq!(keeper.current().await.expect("a grant").secret(), grant(200));
    std::fs::write(&file, grant(300)).expect("writable");
    assert_eq!(keeper.current().await.expect("a grant").secret(), grant(300), "an operator's newer one counts");
}

#[tokio::test]
async fn a_renewed_grant_is_kept_in_its_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("grant");
    std::fs::write(&file, grant(100)).expect("writable");
    keeper(&file).renew(Token::from(grant(200))).await.expect("written");
    assert_eq!(std::fs::read_to_string(&file).expect("readable").trim(), grant(200));
}
