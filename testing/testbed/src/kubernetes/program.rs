//! What the executable of Kubernetes is built from. Its version stands in `program/go.mod`, the checksums of all that it
//! is made of in `program/go.sum`.

use crate::tool::go::Program;

pub(super) const PROGRAM: Program = Program {
    what: "Kubernetes 1.35.4",
    files: &[
        ("main.go", include_str!("program/main.go")),
        ("go.mod", include_str!("program/go.mod")),
        ("go.sum", include_str!("program/go.sum")),
    ],
    set: &[
        "k8s.io/component-base/version.gitVersion=v1.35.4",
        "k8s.io/component-base/version.gitMajor=1",
        "k8s.io/component-base/version.gitMinor=35",
    ],
    names: &["kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl"],
};
