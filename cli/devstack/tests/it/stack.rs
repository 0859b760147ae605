//! The stack's own folder: what is not there, what is broken, where its logs are.
use shop_devstack::events::Event;
use shop_devstack::{Down, Logs, Stack, Trouble};

use crate::bench::{Bench, service};
use crate::data::nobody_listens;

fn stack(dir: &tempfile::TempDir) -> Stack {
    Stack::open(dir.path(), Some(dir.path().join("state"))).unwrap()
}

#[test]
fn the_log_of_postgres_is_found_wherever_its_programs_are_from() {
    let dir = super::folder();
    let stack = stack(&dir);
    for folder in ["postgres-download", "postgres"] {
        std::fs::create_dir(stack.path(folder)).unwrap();
        std::fs::write(stack.path(folder).join("postgres.log"), format!("from {folder}\n")).unwrap();
        let logs = Logs::of(&stack, Some("postgres")).unwrap();
        assert_eq!(logs.sources(), ["postgres"]);
        let lines = logs.tail(9).unwrap();
        assert!(lines.iter().any(|line| line.line == format!("from {folder}")), "{lines:?}");
    }
}

#[test]
fn a_state_folder_that_cannot_be_made_is_named_with_the_next_step() {
    let dir = super::folder();
    let taken = dir.path().join("file");
    std::fs::write(&taken, "").unwrap();
    for folder in [taken.clone(), taken.join("below")] {
        let trouble = Stack::open(dir.path(), Some(folder.clone())).unwrap_err();
        assert!(matches!(trouble, Trouble::StateFolder { named: true, .. }), "{trouble}");
        assert!(trouble.to_string().contains(&folder.display().to_string()), "{trouble}");
        assert!(trouble.next().unwrap().contains("SHOP_DEV_STATE"));
    }
}

#[tokio::test]
async fn a_broken_record_is_named_and_down_takes_it_away() {
    let dir = super::folder();
    let stack = stack(&dir);
    let file = stack.path("running.json");
    for text in ["", "{", "[]", "{\"stack\": 1}"] {
        std::fs::write(&file, text).unwrap();
        let trouble = stack.record().unwrap_err();
        assert!(matches!(trouble, Trouble::Broken { .. }), "{text}: {trouble}");
        assert!(trouble.to_string().contains(&file.display().to_string()), "{trouble}");
        assert!(trouble.next().unwrap().contains("shopctl dev down"));
        assert_eq!(shop_devstack::down(&stack).await.unwrap(), Down::Nothing);
        assert!(stack.record().unwrap().is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_accounts_are_named_with_the_next_step() {
    let bench = Bench::new(&["tiny"]);
    let file = bench.stack.path("accounts.json");
    std::fs::write(&file, "{").unwrap();
    let trouble = bench.up(bench.options(vec![service("tiny", &[], false)])).ended().await.unwrap_err();
    assert!(matches!(trouble, Trouble::Broken { .. }), "{trouble}");
    assert!(trouble.to_string().contains(&file.display().to_string()), "{trouble}");
    assert!(trouble.next().unwrap().contains("shopctl dev seed"));
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_that_is_being_built_has_nothing_to_seed() {
    let bench = Bench::new(&["tiny"]);
    let mut running = bench.up(bench.options(vec![service("tiny", &[], true)]));
    running.until(|event| matches!(event, Event::Step { step, .. } if step == "build").then_some(())).await;
    let trouble = shop_devstack::seed(&bench.stack, &nobody_listens()).await.unwrap_err();
    assert!(matches!(trouble, Trouble::NothingToSeed(_)), "{trouble}");
    assert!(trouble.next().unwrap().contains("shopctl dev status"));
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}
