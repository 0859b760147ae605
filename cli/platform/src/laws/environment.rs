//! Laws about an environment: its cluster, its place in the order, its window, its scan policy.
use std::collections::{HashMap, HashSet};

use super::Findings;
use crate::kubernetes_support::{on_offer, supported};
use crate::problem::did_you_mean;
use crate::resolved::{Cluster, Resolved};

fn clusters(environments: &[Resolved]) -> impl Iterator<Item = (&Resolved, &Cluster)> {
    environments.iter().filter_map(|one| Some((one, one.cluster.as_ref()?)))
}

pub(super) fn region_has_three_zones(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, cluster) in clusters(environments) {
        if cluster.region.is_default() || cluster.zones.is_default() {
            continue; // absent, which has been said
        }
        let (region, zones) = (&cluster.region.value, &cluster.zones);
        let distinct: HashSet<_> = zones.iter().collect();
        let strangers: Vec<_> =
            zones.iter().filter(|zone| zone.region() != *region).map(ToString::to_string).collect();
        let hint = format!("write three, such as [\"{region}a\", \"{region}b\", \"{region}c\"]");
        if !strangers.is_empty() {
            let message = format!("`zones` names {}, outside the region {region}", strangers.join(", "));
            found.broken(zones.span(), message, "not in the region", hint);
        } else if distinct.len() != 3 || zones.len() != 3 {
            let message = format!("`zones` names {} different zones of {region}", distinct.len());
            found.broken(zones.span(), message, "expected three different zones", hint);
        }
    }
}

pub(super) fn kubernetes_is_supported(environments: &[Resolved], found: &mut Findings<'_>) {
    for (environment, cluster) in clusters(environments) {
        if cluster.kubernetes.is_default() || environment.date.is_default() {
            continue; // absent, which has been said
        }
        let day = environment.date.0;
        if let Err(reason) = supported(*cluster.kubernetes, day) {
            let offered: Vec<String> = on_offer(day).map(|version| version.to_string()).collect();
            let hint = match offered.is_empty() {
                true => "the support calendar has nothing for this date: is `date` right?".to_owned(),
                false => format!("in standard support on {}: {}", environment.date.value, offered.join(", ")),
            };
            found.broken(cluster.kubernetes.span(), reason, "not in standard support", hint);
        }
    }
}

pub(super) fn protected_has_a_cluster(environments: &[Resolved], found: &mut Findings<'_>) {
    let lacks = |one: &&Resolved| one.cluster.is_none() && !one.unsure.contains(&"cluster");
    for one in environments.iter().filter(|one| *one.protected).filter(lacks) {
        let message =
            format!("the protected environment `{}` does not say which cluster it is", one.environment);
        let hint = format!(
            "add `cluster = {{ eks = \"…\", account = \"…\" }}` to [environment.{}], so that no other is ever written to",
            one.environment
        );
        found.broken(one.protected.span(), message, "protected without a cluster", hint);
    }
}

pub(super) fn order_is_a_line(environments: &[Resolved], found: &mut Findings<'_>) {
    let find = |name: &str| environments.iter().find(|one| one.environment.as_str() == name);
    for one in environments {
        let Some(after) = &one.after else { continue };
        if find(after.as_str()).is_none() {
            let known: Vec<&str> = environments.iter().map(|one| one.environment.as_str()).collect();
            let hint = match did_you_mean(after.as_str(), known.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known: {}", known.join(", ")),
            };
            let message =
                format!("`{}` comes after `{}`, which does not exist", one.environment, after.value);
            found.broken(after.span(), message, "unknown environment", hint);
            continue;
        }
        // As many steps as there are environments: whoever still has a predecessor then is in a circle.
        let step = |here: Option<&Resolved>| here.and_then(|here| find(here.after.as_ref()?.as_str()));
        let mut at = Some(one);
        for _ in environments {
            at = step(at);
            if at.is_some_and(|at| at.environment == one.environment) {
                let message = format!("the environment `{}` comes after itself", one.environment);
                found.broken(
                    after.span(),
                    message,
                    "a circle",
                    "one environment must be the first".to_owned(),
                );
                break;
            }
        }
    }
}

pub(super) fn ignored_findings_are_current(environments: &[Resolved], found: &mut Findings<'_>) {
    for one in environments {
        let Some(scan) = &one.scan else { continue };
        for ignored in scan.ignore.iter().filter(|ignored| ignored.expires < one.date.value) {
            let message = format!("the accepted finding {} expired on {}", ignored.id, ignored.expires);
            let hint = "look at it again: take it away, or give it a new date and reason".to_owned();
            found.broken(scan.span(), message, "has an expired entry", hint);
        }
    }
}

pub(super) fn namespaces_are_apart(environments: &[Resolved], found: &mut Findings<'_>) {
    let mut taken = HashMap::new();
    for (one, cluster) in clusters(environments) {
        if cluster.namespace.is_default() {
            continue; // absent, which has been said
        }
        let place = (&cluster.pin.value, &cluster.region.value, &cluster.namespace.value);
        if let Some(other) = taken.insert(place, &one.environment) {
            let message = format!(
                "`{}` and `{other}` are the same namespace `{}` of the same cluster",
                one.environment, cluster.namespace.value
            );
            let hint = "give each environment its own namespace or cluster".to_owned();
            found.broken(cluster.namespace.span(), message, "already taken", hint);
        }
    }
}

pub(super) fn change_window_opens(environments: &[Resolved], found: &mut Findings<'_>) {
    for window in environments.iter().filter_map(|one| one.change_window.as_ref()) {
        if window.days.is_empty() {
            let hint = "name the days: days = [\"mon\", \"tue\"]".to_owned();
            found.broken(window.span(), "`change_window` names no day".to_owned(), "never opens", hint);
        } else if window.from >= window.until {
            let message = format!("`change_window` opens at {} and closes at {}", window.from, window.until);
            let hint = "a window lies within one day, in UTC".to_owned();
            found.broken(window.span(), message, "closes before it opens", hint);
        }
    }
}

pub(super) fn protected_is_scanned(environments: &[Resolved], found: &mut Findings<'_>) {
    let lacks = |one: &&Resolved| one.scan.is_none() && !one.unsure.contains(&"scan");
    for one in environments.iter().filter(|one| *one.protected).filter(lacks) {
        let message = format!("the protected environment `{}` has no scan policy", one.environment);
        let hint =
            "add `scan = { severity = \"high\", fixable_only = true, ignore = [] }` to [defaults]".to_owned();
        found.broken(one.protected.span(), message, "protected without a scan policy", hint);
    }
}
