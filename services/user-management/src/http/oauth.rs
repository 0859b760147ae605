//! Tokens for services (client credentials) and the public keys that every service verifies tokens with.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use serde_json::json;
use shop_api::users::auth::{Jwks, ServiceToken, TokenRequest, TokenType};
use shop_api::{Code, Role, Roles};
use shop_kit::token::Claims;
use shop_kit::{Access, ApiError, ApiRouter, ClientAddr, Form, Json};
use time::OffsetDateTime;
use utoipa_axum::routes;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::audit::record_as;
use super::auth::secret;
use super::reauth::limit;
use crate::db::audit::Actor;
use crate::db::clients;
use crate::domain::token::Token;
use crate::state::{ACCESS_TOKEN_LIFE, AppState};

pub(super) fn router() -> ApiRouter<AppState> {
    ApiRouter::new()
        .route(Access::Own("the client's id and secret"), routes!(token))
        .route(Access::Public, routes!(jwks))
}

/// Get a token for a service
///
/// OAuth 2 client credentials (RFC 6749 §4.4). Errors are problems, as everywhere here.
#[utoipa::path(post, path = "/auth/token", tag = "services",
    request_body(content = TokenRequest, content_type = "application/x-www-form-urlencoded"),
    params(("Authorization" = Option<String>, Header, description = "HTTP Basic with the id and secret of the client")),
    responses((status = 200, body = ServiceToken), (status = 401, description = "Unknown client or wrong secret")))]
async fn token(
    State(state): State<AppState>,
    from: ClientAddr,
    headers: HeaderMap,
    Form(request): Form<TokenRequest>,
) -> Result<Response, ApiError> {
    limit(&state, from, state.quotas.sign_in).await?;
    let (id, client_secret) = credentials(&headers, request).ok_or_else(refused)?;
    let presented = Token::parse(&client_secret).ok_or_else(refused)?;
    let found = clients::with_secret(&state.pool, presented.hash()).await?;
    let found = found.filter(|(client, _)| client.to_string() == *id);
    let mut tx = state.pool.begin().await?;
    let Some((client, _)) = found else {
        // Who it says it is, if there is such a client: nothing is written down about whom a stranger invents or names.
        let claimed: Option<Uuid> = id.parse().ok();
        if let Some(client) = claimed
            && clients::exists(&mut *tx, client).await?
        {
            record_as(&mut tx, "client.refused", Actor::System, Some(client), json!({})).await?;
        }
        tx.commit().await?;
        return Err(refused());
    };
    let actor = Actor::Service(client.uuid());
    record_as(&mut tx, "client.signed_in", actor, Some(client.uuid()), json!({})).await?;
    tx.commit().await?;

    let now = OffsetDateTime::now_utc();
    let roles = Roles::NONE.with(Role::Service);
    let claims = Claims::new(&state.issuer, &state.audience, client.uuid(), roles, now, ACCESS_TOKEN_LIFE);
    let access_token = state.keys.sign(&claims).map_err(ApiError::internal)?;
    let expires_in = ACCESS_TOKEN_LIFE.as_secs() as u32;
    Ok(secret(&ServiceToken { token_type: TokenType::Bearer, access_token, expires_in }))
}

/// A client comes back with HTTP Basic (RFC 6749 §5.2), and not with a token that it has not got yet.
fn refused() -> ApiError {
    let mut error = ApiError::code(Code::InvalidCredentials);
    let challenge = HeaderValue::from_static("Basic realm=\"clients\"");
    error.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    error
}

/// HTTP Basic or the body, never both (RFC 6749 §2.3).
fn credentials(headers: &HeaderMap, request: TokenRequest) -> Option<(String, Zeroizing<String>)> {
    let in_body = request.client_id.zip(request.client_secret);
    let Some(basic) = headers.get(header::AUTHORIZATION) else {
        return in_body.map(|(id, secret)| (id, Zeroizing::new(secret)));
    };
    if in_body.is_some() {
        return None;
    }
    let (scheme, encoded) = basic.to_str().ok()?.split_once(' ')?;
    let decoded = Zeroizing::new(STANDARD.decode(encoded.trim()).ok()?);
    let (id, secret) = std::str::from_utf8(&decoded).ok()?.split_once(':')?;
    scheme.eq_ignore_ascii_case("basic").then(|| (id.to_owned(), Zeroizing::new(secret.to_owned())))
}

/// The public keys of access tokens
///
/// The next key is here long before it signs, and the one before until its last token is over.
#[utoipa::path(get, path = "/.well-known/jwks.json", tag = "services", responses((status = 200, body = Jwks)))]
async fn jwks(State(state): State<AppState>) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "public, max-age=60")], Json(state.keys.jwks()))
}
