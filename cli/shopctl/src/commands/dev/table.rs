//! How a stack looks as text: the table of what runs, and what to try next. Must not print.
use std::path::Path;

use shop_devstack::record::{
    Accounts, POSTGRES, PartRecord, PostgresRecord, Record, ReplicaRecord, ReplicaState,
};
use shop_devstack::{Health, Healths};
use time::OffsetDateTime;

use crate::commands::ISSUER;
use crate::ui::{Paint, as_typed, program};

/// One line each: services with their replicas, then PostgreSQL and the other parts, which do as `healths` says.
pub(super) fn rows(record: &Record, healths: &Healths, paint: Paint) -> Vec<String> {
    let replicas = || {
        let of = |service: &'_ shop_devstack::record::ServiceRecord| -> Vec<(String, ReplicaRecord)> {
            let many = service.replicas.len() > 1;
            let name = |replica: &ReplicaRecord| match many {
                true => format!("{}-{}", service.name, replica.index),
                false => service.name.clone(),
            };
            service.replicas.iter().map(|replica| (name(replica), replica.clone())).collect()
        };
        record.services.iter().flat_map(of)
    };
    let names = replicas().map(|(name, _)| name.len()).chain(record.parts.iter().map(|part| part.name.len()));
    let width = names.chain([POSTGRES.len()]).max().unwrap_or_default();
    let mut rows: Vec<String> =
        replicas().map(|(name, replica)| replica_row(&name, &replica, width, paint)).collect();
    let health = |name: &str| healths.get(name).copied().unwrap_or(Health::NotAnswering);
    let postgres = record.postgres.as_ref();
    rows.extend(postgres.map(|postgres| postgres_row(postgres, health(POSTGRES), width, paint)));
    rows.extend(record.parts.iter().map(|part| part_row(part, health(&part.name), width, paint)));
    rows
}

/// Accounts named at the start; `status --output json` has all.
const ACCOUNTS: usize = 4;
const STATE: usize = 13;
const ADDRESS: usize = 23;

fn replica_row(name: &str, replica: &ReplicaRecord, width: usize, paint: Paint) -> String {
    let state = format!("{:STATE$}", replica.state.word());
    let (mark, state) = match replica.state {
        ReplicaState::Ready => (paint.good("●"), paint.good(state)),
        ReplicaState::GivenUp | ReplicaState::Refused => (paint.bad("✗"), paint.bad(state)),
        ReplicaState::BackingOff => (paint.warning("●"), paint.warning(state)),
        _ => (paint.faint("○"), paint.faint(state)),
    };
    let mut facts = vec![lasted(replica.since)];
    facts.extend(replica.proc.map(|proc| format!("pid {}", proc.pid)));
    let memory = replica.proc.and_then(shop_devstack::process::Proc::memory_bytes);
    facts.extend(memory.map(|bytes| format!("{:.0} MiB", bytes as f64 / 1_048_576.0)));
    if replica.restarts > 0 {
        let last = replica.last_exit.as_deref().unwrap_or("unknown");
        facts.push(format!("restarts: {} ({last})", replica.restarts));
    }
    let facts = paint.faint(facts.join(", "));
    format!("{mark} {}  {state}  {:ADDRESS$}  {facts}", paint.strong(format!("{name:width$}")), replica.url)
}

fn postgres_row(postgres: &PostgresRecord, health: Health, width: usize, paint: Paint) -> String {
    let facts = format!("{}: {}", postgres.version, postgres.why);
    part_like((POSTGRES, &postgres.address), health, (facts, postgres.restarts), width, paint)
}

fn part_row(part: &PartRecord, health: Health, width: usize, paint: Paint) -> String {
    part_like((&part.name, &part.address), health, (as_typed(&part.note), part.restarts), width, paint)
}

fn part_like(
    (name, address): (&str, &str),
    health: Health,
    (mut facts, restarts): (String, u32),
    width: usize,
    paint: Paint,
) -> String {
    let state = format!("{:STATE$}", health.word());
    let (mark, state) = match health {
        Health::Ready => (paint.good("●"), paint.good(state)),
        Health::BackingOff | Health::NotAnswering => (paint.warning("●"), paint.warning(state)),
        Health::Gone | Health::GivenUp => (paint.bad("✗"), paint.bad(state)),
    };
    if restarts > 0 {
        facts.push_str(&format!(", restarts: {restarts}"));
    }
    let name = paint.strong(format!("{name:width$}"));
    format!("{mark} {name}  {state}  {address:ADDRESS$}  {}", paint.faint(facts))
}

/// What to do with a stack that has just come up.
pub(super) fn what_next(record: &Record, is_detached: bool, paint: Paint) -> String {
    let mut tries = Vec::new();
    for service in &record.services {
        if let Some(replica) = service.replicas.first() {
            tries.push((
                format!("{}/docs", replica.url),
                format!("try every endpoint of {} in a browser", service.name),
            ));
        }
    }
    let first = record.services.iter().find_map(|service| service.replicas.first());
    let curl = first
        .map(|replica| (format!("curl -s {}/openapi.json", replica.url), "the same for programs".into()));
    tries.extend(curl);
    tries.push((format!("{} dev mail", program()), "what the services have mailed".into()));
    tries.push((format!("{} dev logs -f", program()), "what they write".into()));
    let width = tries.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
    let mut lines = vec![paint.strong("What to try next")];
    lines.extend(tries.iter().map(|(what, why)| format!("  {what:width$}  {}", paint.faint(why))));
    if let Some(accounts) = &record.accounts {
        lines.push(String::new());
        lines.push(format!(
            "{}  {}",
            paint.strong("Accounts"),
            paint.faint("one password for all, in the file below")
        ));
        let shown = accounts.emails.iter().take(ACCOUNTS).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = accounts.emails.len().saturating_sub(ACCOUNTS);
        let more = if more == 0 { String::new() } else { format!(" and {more} more") };
        lines.push(format!("  {shown}{more}"));
        lines.push(format!("  cat {}", quoted(&accounts.password_file)));
        lines.extend(log_in(record, accounts).map(|command| format!("  {command}")));
    }
    let end = match is_detached {
        true => "`shopctl dev down` ends it",
        false => "Ctrl-C ends it",
    };
    lines.push(String::new());
    lines.push(paint.faint(as_typed(&format!("{end}; the data stays until `shopctl dev reset`"))));
    lines.join("\n")
}

/// A log-in as a shell takes it. The password goes from its file through a pipe: an argument would show in the list of
/// processes (`printf` is the shell's own).
fn log_in(record: &Record, accounts: &Accounts) -> Option<String> {
    let issuer = record.services.iter().find(|service| service.name == ISSUER)?;
    let (replica, email) = (issuer.replicas.first()?, accounts.emails.first()?);
    let password = quoted(&accounts.password_file);
    Some(format!(
        r#"printf '{{"email":"%s","password":"%s"}}' {email} "$(cat {password})" | curl -s -H 'content-type: application/json' -d @- {}/auth/login"#,
        replica.url
    ))
}

/// A path as one word of a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// `4 s`, `3 min`, `2 h 5 min`.
fn lasted(since: OffsetDateTime) -> String {
    let seconds = (OffsetDateTime::now_utc() - since).whole_seconds().max(0);
    match (seconds / 3600, seconds / 60 % 60) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[test]
    fn a_time_is_said_in_its_largest_units() {
        let ago = |seconds| lasted(OffsetDateTime::now_utc() - time::Duration::seconds(seconds));
        assert_eq!([ago(-5), ago(59), ago(60), ago(7_500)], ["0 s", "59 s", "1 min", "2 h 5 min"]);
    }

    #[test]
    fn the_printed_log_in_works_as_it_is_typed() {
        let folder = tempfile::Builder::new().prefix("it's a ").tempdir().unwrap();
        let password_file = folder.path().join("seed-password");
        std::fs::write(&password_file, "s3same").unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let since = "2026-01-01T00:00:00Z";
        let replica = serde_json::json!({ "index": 1, "url": url, "admin": url, "state": "ready", "since": since,
            "restarts": 0, "log": "x" });
        let record: Record = serde_json::from_value(serde_json::json!({
            "stack": "x", "id": "x", "root": "/", "supervisor": { "pid": 1, "started": 1 }, "command": "x",
            "since": since, "ready": true, "parts": [],
            "accounts": { "emails": ["ada@shop.test"], "password_file": password_file },
            "services": [{ "name": ISSUER, "program": "x", "environment": {}, "replicas": [replica] }],
        }))
        .unwrap();
        let text = what_next(&record, false, Paint::choose(crate::args::Color::Never, false));
        let command = text.lines().find(|line| line.contains("/auth/login")).unwrap().to_owned();
        assert!(text.contains("  cargo shopctl dev mail"), "{text}");
        let typed =
            std::thread::spawn(move || std::process::Command::new("sh").args(["-c", &command]).output());
        let (mut stream, _) = listener.accept().unwrap();
        let (mut request, mut piece) = (Vec::new(), [0; 1024]);
        while !request.ends_with(b"}") {
            let read = stream.read(&mut piece).unwrap();
            assert!(read > 0, "it hung up after {}", String::from_utf8_lossy(&request));
            request.extend_from_slice(&piece[..read]);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        let request = String::from_utf8(request).unwrap();
        assert!(request.starts_with("POST /auth/login "), "{request}");
        assert!(
            request.ends_with("\r\n\r\n{\"email\":\"ada@shop.test\",\"password\":\"s3same\"}"),
            "{request}"
        );
        assert!(typed.join().unwrap().unwrap().status.success());
    }
}
