//! Who may do what: one snapshot, read by whoever reviews a change of it.
use std::fmt::Write;

use shop_api::{Permission, Role, Roles};

#[test]
fn the_table_of_roles_and_permissions() {
    let mut table = String::new();
    for permission in Permission::ALL {
        let roles: Vec<_> =
            Role::ALL.iter().filter(|role| role.grants(*permission)).map(|role| role.as_str()).collect();
        writeln!(table, "{:<16} {}", permission.as_str(), roles.join(" ")).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn both_ways_to_ask_the_table_agree() {
    for role in Role::ALL {
        for permission in Permission::ALL {
            let listed = role.permissions().any(|granted| granted == *permission);
            assert_eq!(role.grants(*permission), listed, "{role} {permission}");
            assert_eq!(Roles::NONE.with(*role).grants(*permission), listed);
        }
    }
    assert!(Permission::ALL.iter().all(|permission| !Roles::NONE.grants(*permission)));
}

#[test]
fn roles_on_the_wire_are_names_and_unknown_ones_grant_nothing() {
    let roles: Roles = serde_json::from_str(r#"["admin","customer","emperor","admin"]"#).unwrap();
    assert_eq!(roles.iter().collect::<Vec<_>>(), [Role::Customer, Role::Admin]);
    assert_eq!(serde_json::to_string(&roles).unwrap(), r#"["customer","admin"]"#);
    for role in Role::ALL {
        assert_eq!(Role::from_name(role.as_str()), Some(*role));
        assert!(!role.about().is_empty());
    }
    for permission in Permission::ALL {
        assert_eq!(Permission::from_name(permission.as_str()), Some(*permission));
    }
}
