//! Laws about one service's numbers: replicas, resources, shutdown, objectives, payments, migrations.
use super::{Findings, everywhere};
use crate::resolved::Resolved;
use crate::settings::Payments;

pub(super) fn replicas_are_a_range(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        let replicas = &service.replicas;
        if replicas.min > replicas.max {
            let message = format!("`replicas` wants at least {} and at most {}", replicas.min, replicas.max);
            found.broken(replicas.span(), message, "min is above max", "swap min and max".to_owned());
        }
    }
}

pub(super) fn protected_replicas_are_three_to_ten(environments: &[Resolved], found: &mut Findings<'_>) {
    for (environment, service) in everywhere(environments).filter(|(one, _)| *one.protected) {
        let replicas = &service.replicas;
        if replicas.min < 3 || replicas.max > 10 {
            let message = format!(
                "`{}` runs {} to {} replicas in the protected environment `{}`",
                service.name, replicas.min, replicas.max, environment.environment
            );
            let hint = "three survive the loss of a zone; ten is what the databases are sized for".to_owned();
            found.broken(replicas.span(), message, "expected min 3 or more, max 10 or fewer", hint);
        }
    }
}

pub(super) fn a_drain_leaves_a_replica(environments: &[Resolved], found: &mut Findings<'_>) {
    for (environment, service) in everywhere(environments).filter(|(one, _)| one.cluster.is_some()) {
        if service.replicas.min < 2 {
            let message = format!(
                "`{}` may run as {} replica in `{}`, and a drained node would stop it",
                service.name, service.replicas.min, environment.environment
            );
            let hint = "set min to 2 or more: one replica at a time may be evicted".to_owned();
            found.broken(service.replicas.span(), message, "min is below 2", hint);
        }
    }
}

pub(super) fn cpu_request_fits_limit(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        let cpu = &service.cpu;
        if cpu.request > cpu.limit {
            let message = format!("`cpu` requests {} and is limited to {}", cpu.request, cpu.limit);
            found.broken(
                cpu.span(),
                message,
                "request is above limit",
                format!("set limit to {} or more", cpu.request),
            );
        }
    }
}

pub(super) fn memory_request_fits_limit(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        let memory = &service.memory;
        if memory.request > memory.limit {
            let message = format!("`memory` requests {} and is limited to {}", memory.request, memory.limit);
            let hint = format!("set limit to {} or more", memory.request);
            found.broken(memory.span(), message, "request is above limit", hint);
        }
    }
}

pub(super) fn shutdown_fits_grace(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        let shutdown = &service.shutdown;
        let needed = shutdown.pre_stop.millis() + shutdown.drain.millis();
        if needed >= shutdown.grace.millis() {
            let message = format!(
                "`shutdown` needs {} for pre_stop and {} for drain, and the replica is killed after {}",
                shutdown.pre_stop, shutdown.drain, shutdown.grace
            );
            let hint = format!("set grace to {}s or more", needed / 1000 + 1);
            found.broken(shutdown.span(), message, "grace is too short", hint);
        }
    }
}

pub(super) fn protected_takes_real_payments(environments: &[Resolved], found: &mut Findings<'_>) {
    for (environment, service) in everywhere(environments).filter(|(one, _)| *one.protected) {
        if let Some(payments) = &service.payments
            && payments.value == Payments::Sandbox
        {
            let (name, place) = (&service.name, &environment.environment);
            let message = format!("`{name}` takes sandbox payments in the protected environment `{place}`");
            let hint = format!("set payments = \"stripe\" in [service.{name}.environment.{place}]");
            found.broken(payments.span(), message, "test cards only", hint);
        }
    }
}

pub(super) fn migrations_need_a_database(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        let name = &service.name;
        if service.unsure.iter().any(|key| ["database", "migrations"].contains(key)) {
            continue;
        }
        match (&service.database, &service.migrations) {
            (None, Some(migrations)) => {
                let message = format!("`{name}` has migrations and no database");
                let hint = format!("add `database = …` to [service.{name}], or take migrations away");
                found.broken(migrations.span(), message, "nothing to migrate", hint);
            }
            (Some(database), None) => {
                let message = format!("`{name}` has a database and no migrations");
                let hint = format!("add `migrations = {{ deadline = \"5m\" }}` to [service.{name}]");
                found.broken(database.span(), message, "never gets its tables", hint);
            }
            _ => {}
        }
    }
}

pub(super) fn objectives_leave_a_budget(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        let objectives = &service.objectives;
        let share = objectives.availability.ratio();
        if share <= 0.9 || share >= 1.0 {
            let message = format!("`objectives` promises an availability of {}", objectives.availability);
            let hint = "99.9% allows 43 minutes of errors in 30 days".to_owned();
            found.broken(objectives.span(), message, "expected between 90% and 100%", hint);
        }
    }
}

pub(super) fn cpu_target_is_reachable(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        let replicas = &service.replicas;
        if !(0.1..=0.95).contains(&replicas.target_cpu.ratio()) {
            let message = format!("`replicas` starts more at {} of the CPU request", replicas.target_cpu);
            let hint = "70% leaves room while a new replica starts".to_owned();
            found.broken(replicas.span(), message, "expected 10% to 95%", hint);
        }
    }
}
