//! Which exit code a failed call is, and what to do next. Must not word anew what the service has said.
use shop_api::Code;
use shop_client::ClientError;

use super::TOKEN_FILE;
use crate::error::CommandError;
use crate::exit::Exit;

/// The command's error for a failed call.
pub(super) fn of(error: &ClientError, environment: &str) -> CommandError {
    let new = |kind| CommandError::new(kind, error.to_string());
    let sign_in = format!("run `shopctl auth login --env {environment}`");
    match error {
        ClientError::BaseUrl { .. } | ClientError::Request(_) => new(Exit::Usage),
        ClientError::NoToken(_) => new(Exit::NotAuthorised).hint(sign_in),
        ClientError::Unreachable { .. } if environment == "dev" => {
            new(Exit::Unreachable).hint("`shopctl dev status` shows what runs")
        }
        ClientError::Unreachable { .. } => new(Exit::Unreachable).hint(format!(
            "`shopctl config show --env {environment}` shows its host; --url names another address"
        )),
        ClientError::Unexpected(_) | ClientError::Undecodable(_) => {
            new(Exit::Unreachable).hint("does something else answer at that address?")
        }
        ClientError::Deadline(_) => new(Exit::DeadlinePassed).hint("try again in a moment"),
        ClientError::Setup(_) => new(Exit::Unexpected),
        ClientError::Problem(problem) => match problem.code {
            Code::InvalidCredentials => new(Exit::NotAuthorised),
            Code::TooManyRequests => new(Exit::NotAuthorised).hint("wait a while, then try again"),
            Code::Unavailable | Code::Overloaded => new(Exit::Unreachable).hint("try again in a moment"),
            _ if problem.status == 401 => new(Exit::NotAuthorised).hint(sign_in),
            _ if problem.status == 403 => new(Exit::NotAuthorised),
            Code::ValidationFailed | Code::MalformedRequest => new(Exit::Usage),
            _ => new(Exit::Unexpected),
        },
    }
}

/// The same for a call with the token of a file: signing in changes nothing as long as the file is named.
pub(super) fn of_token_file(error: &ClientError, environment: &str, file: &str) -> CommandError {
    let failed = of(error, environment);
    if !error.is_unauthorised() {
        return failed;
    }
    let hint = format!("put a new token into {file}, or unset {TOKEN_FILE} to use your own session");
    CommandError { hints: vec![hint], ..failed }
}
