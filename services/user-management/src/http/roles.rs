//! The table of roles and permissions, as it is compiled in. It is not edited here: a role is a word of the code.

use shop_api::Permission::RolesRead;
use shop_api::users::admin::{PermissionInfo, PermissionList, RoleInfo, RoleList};
use shop_api::{Permission, Role};
use shop_kit::{Access, ApiRouter, Json};
use utoipa_axum::routes;

use crate::state::AppState;

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Need(RolesRead), routes!(roles))
        .route(Access::Need(RolesRead), routes!(permissions))
}

/// List the roles and what each may do
#[utoipa::path(get, path = "/roles", operation_id = "list_roles", tag = "administration", responses((status = 200, body = RoleList)))]
async fn roles() -> Json<RoleList> {
    let describe = |role: &Role| RoleInfo {
        role: *role,
        about: role.about().to_owned(),
        permissions: role.permissions().collect(),
    };
    Json(RoleList { items: Role::ALL.iter().map(describe).collect() })
}

/// List the permissions and the roles that grant each
#[utoipa::path(get, path = "/permissions", operation_id = "list_permissions", tag = "administration", responses((status = 200, body = PermissionList)))]
async fn permissions() -> Json<PermissionList> {
    let describe = |permission: &Permission| PermissionInfo {
        permission: *permission,
        about: permission.about().to_owned(),
        granted_by: Role::ALL.iter().copied().filter(|role| role.grants(*permission)).collect(),
    };
    Json(PermissionList { items: Permission::ALL.iter().map(describe).collect() })
}
