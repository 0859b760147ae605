//! The laws of shop.toml: rules that bind two or more values, each with an id, a sentence and a test.
//! One list; docs/generated/shop-toml-laws.md is printed from it. Must not decode anything, nor read a clock.
mod environment;
mod issuer;
mod wiring;
mod workload;

use std::ops::Range;

use crate::problem::{Collector, Problem};
use crate::resolved::{Resolved, Service};

/// One law.
pub struct Law {
    /// Its id, which never changes and is never used again.
    pub id: &'static str,
    /// What holds, as a sentence for the reference.
    pub sentence: &'static str,
    check: fn(&[Resolved], &mut Findings<'_>),
}

impl std::fmt::Debug for Law {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.id)
    }
}

/// Every law, in the order of the ids.
pub static LAWS: &[Law] = &[
    Law {
        id: "SHOP-L001",
        sentence: "A service's fewest replicas are not more than its most.",
        check: workload::replicas_are_a_range,
    },
    Law {
        id: "SHOP-L002",
        sentence: "In a protected environment a service runs 3 to 10 replicas.",
        check: workload::protected_replicas_are_three_to_ten,
    },
    Law {
        id: "SHOP-L003",
        sentence: "In a cluster a service has at least two replicas, so that one remains when a node is drained.",
        check: workload::a_drain_leaves_a_replica,
    },
    Law {
        id: "SHOP-L004",
        sentence: "A CPU request is not above its limit.",
        check: workload::cpu_request_fits_limit,
    },
    Law {
        id: "SHOP-L005",
        sentence: "A memory request is not above its limit.",
        check: workload::memory_request_fits_limit,
    },
    Law {
        id: "SHOP-L006",
        sentence: "The pre-stop pause and the drain together are shorter than the grace period.",
        check: workload::shutdown_fits_grace,
    },
    Law {
        id: "SHOP-L007",
        sentence: "Every service that another depends on exists.",
        check: wiring::dependencies_exist,
    },
    Law {
        id: "SHOP-L008",
        sentence: "No service depends on itself, not even through others.",
        check: wiring::dependencies_have_no_cycle,
    },
    Law {
        id: "SHOP-L009",
        sentence: "Every port of every service is different.",
        check: wiring::ports_are_distinct,
    },
    Law {
        id: "SHOP-L010",
        sentence: "No two services share a database.",
        check: wiring::databases_are_distinct,
    },
    Law {
        id: "SHOP-L011",
        sentence: "A cluster uses three different zones of its region.",
        check: environment::region_has_three_zones,
    },
    Law {
        id: "SHOP-L012",
        sentence: "A cluster's Kubernetes version is in standard support on the file's date.",
        check: environment::kubernetes_is_supported,
    },
    Law {
        id: "SHOP-L013",
        sentence: "A protected environment names the cluster that it is.",
        check: environment::protected_has_a_cluster,
    },
    Law {
        id: "SHOP-L014",
        sentence: "No service takes sandbox payments in a protected environment.",
        check: workload::protected_takes_real_payments,
    },
    Law {
        id: "SHOP-L015",
        sentence: "A host name belongs to one service in one environment.",
        check: wiring::hosts_are_unique,
    },
    Law {
        id: "SHOP-L016",
        sentence: "The environment named by `after` exists, and no environment comes after itself.",
        check: environment::order_is_a_line,
    },
    Law {
        id: "SHOP-L017",
        sentence: "A service has migrations exactly when it has a database.",
        check: workload::migrations_need_a_database,
    },
    Law {
        id: "SHOP-L018",
        sentence: "A variable that names a secret ends with `_FILE` or `_DIR`.",
        check: wiring::secrets_are_files,
    },
    Law {
        id: "SHOP-L019",
        sentence: "Plain configuration holds no secret: no variable named like one, no password in a URL.",
        check: wiring::env_holds_no_secret,
    },
    Law {
        id: "SHOP-L020",
        sentence: "Plain configuration sets no variable that the platform sets itself.",
        check: wiring::env_sets_nothing_of_ours,
    },
    Law {
        id: "SHOP-L021",
        sentence: "No accepted scan finding has expired on the file's date.",
        check: environment::ignored_findings_are_current,
    },
    Law {
        id: "SHOP-L022",
        sentence: "No two environments share a namespace of one cluster.",
        check: environment::namespaces_are_apart,
    },
    Law {
        id: "SHOP-L023",
        sentence: "A change window opens on some day and before it closes.",
        check: environment::change_window_opens,
    },
    Law {
        id: "SHOP-L024",
        sentence: "No two services are built from one folder.",
        check: wiring::paths_are_distinct,
    },
    Law {
        id: "SHOP-L025",
        sentence: "An availability objective lies between 90% and 100%, both excluded: 100% leaves no error budget.",
        check: workload::objectives_leave_a_budget,
    },
    Law {
        id: "SHOP-L026",
        sentence: "The CPU share that starts more replicas lies between 10% and 95%.",
        check: workload::cpu_target_is_reachable,
    },
    Law {
        id: "SHOP-L027",
        sentence: "A protected environment states what a scan of an image may find.",
        check: environment::protected_is_scanned,
    },
    Law {
        id: "SHOP-L028",
        sentence: "In a cluster a service that depends on the issuer of tokens (the one with `SIGNING_KEYS_DIR`) has a client \
                   there, `ISSUER_CLIENT_FILE`, and names `ISSUER_URL` and the issuer's own `ISSUER` and `AUDIENCE`.",
        check: issuer::dependents_know_the_issuer,
    },
];

/// Reports every broken law.
pub(crate) fn check(environments: &[Resolved], problems: &mut Collector) {
    for law in LAWS {
        (law.check)(environments, &mut Findings { law: law.id, problems });
    }
}

/// The reference page of the laws.
#[must_use]
pub fn laws_markdown() -> String {
    let rows: String = LAWS.iter().map(|law| format!("| `{}` | {} |\n", law.id, law.sentence)).collect();
    format!(
        "<!-- Generated by `shopctl generate docs`. -->\n\
         # The laws of shop.toml\n\n\
         `shopctl config check` reports every broken law with its line. Types and unknown keys are checked before.\n\n\
         | Law | What holds |\n|---|---|\n{rows}"
    )
}

/// Takes what a law found.
struct Findings<'a> {
    law: &'static str,
    problems: &'a mut Collector,
}

impl Findings<'_> {
    fn broken(&mut self, span: Range<usize>, message: String, label: &str, hint: String) {
        self.problems.add(Problem::new(self.law, span, message).label(label).hint(hint));
    }
}

/// Every service of every environment.
fn everywhere(environments: &[Resolved]) -> impl Iterator<Item = (&Resolved, &Service)> {
    environments.iter().flat_map(|one| one.services.values().map(move |service| (one, service)))
}
