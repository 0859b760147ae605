//! Who takes connections, from the kernel's own tables.
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use shop_devstack::process::Proc;

/// The addresses of these processes that another machine could reach.
pub(crate) fn beyond_this_machine(procs: &[Proc]) -> Vec<String> {
    let theirs: HashSet<String> = procs.iter().flat_map(sockets).collect();
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| std::fs::read_to_string(table).unwrap());
    let rows = tables.iter().flat_map(|table| table.lines().skip(1));
    let mut found = Vec::new();
    for row in rows {
        let words: Vec<&str> = row.split_whitespace().collect();
        // State 0A is LISTEN; the tenth word is the inode (proc_net_tcp of the kernel's documentation).
        if words[3] == "0A" && theirs.contains(words[9]) && !address(words[1]).to_canonical().is_loopback() {
            found.push(words[1].to_owned());
        }
    }
    found
}

/// The inodes of its sockets.
fn sockets(proc: &Proc) -> Vec<String> {
    let files = std::fs::read_dir(format!("/proc/{}/fd", proc.pid)).into_iter().flatten().flatten();
    let links = files.filter_map(|file| std::fs::read_link(file.path()).ok());
    let of = |link: std::path::PathBuf| {
        Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
    };
    links.filter_map(of).collect()
}

/// `0100007F:1F90`: words of four bytes, each in the order of this processor.
fn address(text: &str) -> IpAddr {
    let (address, _port) = text.split_once(':').unwrap();
    let word = |at: usize| u32::from_str_radix(&address[at..at + 8], 16).unwrap().to_ne_bytes();
    match address.len() {
        8 => Ipv4Addr::from(word(0)).into(),
        _ => {
            let words = [word(0), word(8), word(16), word(24)].concat();
            Ipv6Addr::from(<[u8; 16]>::try_from(words).unwrap()).into()
        }
    }
}

#[test]
fn an_open_socket_is_seen() {
    let me = Proc::of(std::process::id()).unwrap();
    // A machine may lack the sixth version.
    let listening = |addresses: [&str; 2]| addresses.map(|address| std::net::TcpListener::bind(address).ok());
    let _inside = listening(["127.0.0.1:0", "[::1]:0"]);
    assert_eq!(beyond_this_machine(&[me]), [""; 0]);
    let open = listening(["0.0.0.0:0", "[::]:0"]);
    assert_eq!(beyond_this_machine(&[me]).len(), open.iter().flatten().count());
    assert!(open[0].is_some());
}
