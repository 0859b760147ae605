//! The value types: what they take, what they refuse, that they print what they read, that the schema agrees.
use std::fmt::{Debug, Display};
use std::str::FromStr;

use proptest::prelude::*;
use shop_platform::types::{
    Cpu, DatabaseName, Digest, DnsLabel, Duration, FolderPath, Host, KubernetesVersion, Memory, Percent,
    Region, Registry, TimeOfDay, Weekday, Zone,
};

/// Every text of `good` is read and printed back; every one of `bad` is refused.
fn check<T: FromStr<Err = String> + Display + Debug>(good: &[&str], bad: &[&str]) {
    for text in good {
        let value: T = text.parse().unwrap_or_else(|reason| panic!("{text:?} is refused: {reason}"));
        assert_eq!(value.to_string(), *text);
    }
    for text in bad {
        let reason = text.parse::<T>().expect_err(text);
        assert!(!reason.is_empty() && !reason.ends_with('.'), "{text:?}: {reason:?}");
    }
}

#[test]
fn names() {
    let (longest, too_long) = ("a".repeat(63), "a".repeat(64));
    check::<DnsLabel>(
        &["a", "shop-prod", "a1", &longest],
        &["", "1a", "-a", "a-", "A", "a_b", "a.b", "ä", &too_long],
    );
    check::<DatabaseName>(
        &["a", "_x1", "user_management"],
        &["", "1a", "a-b", "A", "a b", "a\"b", &too_long],
    );
    check::<FolderPath>(
        &["services/orders", "a/b.c"],
        &["", "/etc", "../x", "a/../b", "a//b", "a/", "./a", "a b", "~/x", "a\nb"],
    );
    let hex = "0123456789abcdef".repeat(4);
    check::<Digest>(
        &[&format!("sha256:{hex}")],
        &["sha256:", &hex, &format!("sha256:{hex}0"), &format!("sha256:{}", hex.to_uppercase())],
    );
}

#[test]
fn network() {
    check::<Host>(
        &["a.b", "users.shop.example"],
        &["", "localhost", "a..b", ".a", "a.", "-a.b", "A.b", "a.b:80", "http://a.b", "a/b.c"],
    );
    check::<Registry>(
        &["r.example", "localhost:5000", "r.example/a/b-c", "127.0.0.1:5000/x"],
        &[
            "",
            "r.example/",
            "r.example:0",
            "r.example:99999",
            "r.example/A",
            "r.example/a:tag",
            "r.example//a",
            "https://r",
        ],
    );
    check::<Region>(
        &["eu-central-1", "us-gov-west-1"],
        &["", "eu", "eu-central", "eu-central-0", "eu-central-10", "EU-central-1", "eu--1", "eu-central-1a"],
    );
    check::<Zone>(&["eu-central-1a"], &["", "eu-central-1", "eu-central-1A", "eu-central-1ab", "ä"]);
    assert_eq!(
        "eu-central-1b".parse::<Zone>().map(|zone| zone.region().to_string()),
        Ok("eu-central-1".to_owned())
    );
}

#[test]
fn quantities() {
    check::<Cpu>(
        &["1m", "250m", "2"],
        &["", "0", "0m", "-1", "1.0005", "1,5", "m", "1mm", "1e3", "99999999999", "1 "],
    );
    assert_eq!("1.5".parse::<Cpu>().map(Cpu::millicores), Ok(1500));
    check::<Memory>(
        &["64Mi", "1Gi", "3Ki"],
        &[
            "",
            "64",
            "64M",
            "64MB",
            "0Mi",
            "1.5Gi",
            "-1Mi",
            "Mi",
            "99999999999999999999Gi",
            "18446744073709551615Gi",
        ],
    );
    assert_eq!("1024Mi".parse::<Memory>().map(|memory| memory.to_string()), Ok("1Gi".to_owned()));
    check::<Percent>(
        &["0%", "70%", "99.9%", "99.995%", "100%"],
        &["", "%", "70", "100.001%", "101%", "99.9999%", "-1%", ".5%", "5.%", "1e1%"],
    );
    check::<Duration>(
        &["500ms", "40s", "5m", "2h", "168h"],
        &["", "5", "s", "1.5s", "-1s", "169h", "1d", "1m30s", "99999999999999999999s"],
    );
    assert_eq!("1500ms".parse::<Duration>().map(Duration::seconds), Ok(2));
}

#[test]
fn versions_and_times() {
    check::<KubernetesVersion>(
        &["1.36"],
        &["", "1", "1.", "2.0", "1.36.1", "v1.36", "1.036", "1.-1", "1.99999"],
    );
    check::<TimeOfDay>(
        &["00:00", "23:59"],
        &["", "24:00", "7:00", "07:60", "07:0", "0700", "07:00:00", "+7:00"],
    );
    check::<Weekday>(&["mon", "sun"], &["", "Monday", "MON"]);
}

proptest! {
    #[test]
    fn what_is_read_prints_and_reads_the_same(cpu in 1_u32.., mebibytes in 1_u64..1 << 40, millis in 0_u64..604_800_000, thousandths in 0_u32..=100_000) {
        let cpu: Cpu = format!("{cpu}m").parse().expect("valid");
        prop_assert_eq!(cpu.to_string().parse(), Ok(cpu));
        let memory: Memory = format!("{mebibytes}Ki").parse().expect("valid");
        prop_assert_eq!(memory.to_string().parse(), Ok(memory));
        let duration: Duration = format!("{millis}ms").parse().expect("valid");
        prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        let percent: Percent = format!("{}.{:03}%", thousandths / 1000, thousandths % 1000).parse().expect("valid");
        prop_assert_eq!(percent.to_string().parse(), Ok(percent));
    }

    #[test]
    fn no_text_makes_a_parser_panic(text in "\\PC{0,12}") {
        let _ = (text.parse::<Cpu>(), text.parse::<Memory>(), text.parse::<Percent>(), text.parse::<Duration>());
        let _ = (text.parse::<Zone>(), text.parse::<Registry>(), text.parse::<Host>(), text.parse::<Digest>());
        let _ = (text.parse::<TimeOfDay>(), text.parse::<KubernetesVersion>(), text.parse::<FolderPath>());
    }
}
