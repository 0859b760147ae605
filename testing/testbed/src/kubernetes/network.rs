//! The cluster's own network: one bridge with one subnet, on which everything of it listens. Nothing of the cluster can
//! be reached from another machine. Remembers what the machine was like before, and puts it back.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use serde::{Deserialize, Serialize};
use shop_devstack::state::StateDir;

use crate::Result;

/// The bridge; at most fifteen characters.
pub(super) const BRIDGE: &str = "shop-testbed0";
const STATE: &str = "network.json";
const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Second numbers of 10.x.0.0/24, tried in this order.
const SUBNETS: std::ops::Range<u8> = 244..254;

/// The subnet, and what it was before.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Network {
    second: u8,
    forwarding: String,
}

impl Network {
    /// That of the folder, set up if it is not: chosen so that no route of the machine leads there.
    pub(super) fn up(dir: &StateDir) -> Result<Self> {
        let known = dir.read_json::<Self>(STATE)?;
        let network = match known {
            Some(known) => known,
            None => {
                let taken = "every subnet from 10.244.0.0/24 to 10.253.0.0/24 is in use on this machine";
                let second = SUBNETS.clone().find(|second| is_unrouted(*second));
                let second = second.ok_or_else(|| std::io::Error::other(taken))?;
                let forwarding = std::fs::read_to_string(FORWARDING)?.trim().to_owned();
                let network = Self { second, forwarding };
                dir.write_json(STATE, &network)?;
                network
            }
        };
        if !Path::new("/sys/class/net").join(BRIDGE).exists() {
            ip(&["link", "add", BRIDGE, "type", "bridge"])?;
            ip(&["address", "add", &format!("{}/24", network.host()), "dev", BRIDGE])?;
        }
        ip(&["link", "set", BRIDGE, "up"])?;
        Ok(network)
    }

    /// The one that was set up, if one is.
    pub(super) fn known(dir: &StateDir) -> Result<Option<Self>> {
        Ok(dir.read_json(STATE)?)
    }

    /// The address of this machine in it: the node's, and that of all servers.
    pub(super) fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.second, 0, 1)
    }

    /// All of its addresses.
    pub(super) fn subnet(&self) -> String {
        format!("10.{}.0.0/24", self.second)
    }

    /// Puts back what was before.
    pub(super) fn down(self, dir: &StateDir) -> Result<()> {
        if Path::new("/sys/class/net").join(BRIDGE).exists() {
            ip(&["link", "delete", BRIDGE])?;
        }
        for family in ["iptables", "ip6tables"] {
            forget_rules(family)?;
        }
        std::fs::write(FORWARDING, &self.forwarding)?;
        Ok(dir.remove(STATE)?)
    }
}

/// Whether kube-proxy or a kubelet has rules on this machine: two of them would spoil each other's.
pub(super) fn has_rules() -> Result<bool> {
    Ok(run("iptables-save", &[])?.lines().any(is_of_kubernetes))
}

/// Takes out the chains that kube-proxy, the kubelet and the network plugins made, with every rule that leads there.
/// Other rules stay as they are, and so does their order.
fn forget_rules(family: &str) -> Result<()> {
    let Ok(saved) = run(&format!("{family}-save"), &[]) else { return Ok(()) };
    let kept: Vec<&str> = saved.lines().filter(|line| !is_of_kubernetes(line)).collect();
    if kept.len() == saved.lines().count() {
        return Ok(());
    }
    let mut restore = Command::new(format!("{family}-restore"));
    let mut child = restore.stdin(std::process::Stdio::piped()).spawn()?;
    if let Some(mut input) = child.stdin.take() {
        std::io::Write::write_all(&mut input, format!("{}\n", kept.join("\n")).as_bytes())?;
    }
    let done = child.wait()?;
    if done.success() {
        return Ok(());
    }
    Err(std::io::Error::other(format!("{family}-restore refused the rules without the cluster's ({done})"))
        .into())
}

/// Lines of `iptables-save`: a chain is `:NAME …`, a rule `-A NAME … -j NAME`.
fn is_of_kubernetes(line: &str) -> bool {
    line.split([' ', ':']).any(|word| word.starts_with("KUBE-") || word.starts_with("CNI-"))
}

/// Whether no route of the machine leads into `10.<second>.0.0/24` but the default one. `/proc/net/route` writes
/// addresses in the machine's order of bytes.
fn is_unrouted(second: u8) -> bool {
    let routes = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    let ours = u32::from_be_bytes([10, second, 0, 0]);
    routes.lines().skip(1).all(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|text| u32::from_str_radix(text, 16).ok());
        let (Some(destination), Some(mask)) = (number(1), number(7)) else { return true };
        let (destination, mask) = (u32::from_be(destination), u32::from_be(mask));
        mask == 0 || ours & mask != destination & mask
    })
}

fn ip(arguments: &[&str]) -> Result<()> {
    run("ip", arguments).map(drop)
}

fn run(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| {
        std::io::Error::new(error.kind(), format!("{program} cannot be started: {error}"))
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(std::io::Error::other(format!("`{program} {}`: {words}", arguments.join(" "))).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_kubernetes_go() {
        for line in [
            ":KUBE-SERVICES - [0:0]",
            "-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES",
            "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
            "-A POSTROUTING -s 10.244.0.5/32 -j CNI-1f2e3d4c5b6a",
        ] {
            assert!(is_of_kubernetes(line), "{line}");
        }
        for line in [
            ":DOCKER - [0:0]",
            "-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE",
            "*nat",
            "COMMIT",
        ] {
            assert!(!is_of_kubernetes(line), "{line}");
        }
    }
}
