//! The state folder.

use std::time::Duration;

use shop_devstack::state::StateDir;

#[tokio::test]
async fn what_is_written_is_read_and_what_is_broken_is_named() {
    let dir = super::folder();
    let state = StateDir::open(dir.path().join("a/b")).unwrap();
    assert_eq!(state.read_json::<Vec<u8>>("list.json").unwrap(), None);
    state.write_json("list.json", &[1, 2]).unwrap();
    state.write_json("list.json", &[3]).unwrap();
    assert_eq!(state.read_json::<Vec<u8>>("list.json").unwrap(), Some(vec![3]));
    std::fs::write(state.path().join("list.json"), "[3").unwrap();
    assert!(state.read_json::<Vec<u8>>("list.json").unwrap_err().to_string().contains("list.json"));
    state.remove("list.json").unwrap();
    state.remove("list.json").unwrap();
}

#[tokio::test]
async fn a_lock_has_one_holder() {
    let dir = super::folder();
    let state = StateDir::open(dir.path()).unwrap();
    let first = state.try_lock("lock").unwrap().unwrap();
    assert!(state.try_lock("lock").unwrap().is_none());
    let error = state.lock("lock", Duration::from_millis(50)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    drop(first);
    state.lock("lock", Duration::ZERO).await.unwrap();
}
