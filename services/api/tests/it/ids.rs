//! Ids sort by the time they were made, and are not each other.
use shop_api::{AddressId, UserId};

#[test]
fn ids_are_uuid_v7_and_plain_text_on_the_wire() {
    let ids: Vec<_> = (0..1000).map(|_| UserId::new()).collect();
    assert!(ids.is_sorted());
    assert!(ids.iter().all(|id| id.uuid().get_version_num() == 7));
    let id = ids[0];
    assert_eq!(serde_json::to_value(id).unwrap(), id.to_string());
    assert_eq!(id.to_string().parse::<UserId>().unwrap(), id);
    assert_eq!(AddressId::from(id.uuid()).uuid(), uuid::Uuid::from(id));
    assert!("not an id".parse::<UserId>().is_err());
}
