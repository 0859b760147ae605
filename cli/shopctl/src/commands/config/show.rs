//! `shopctl config show`: every decided value of one environment, and where it was written.
use serde::Serialize;
use serde_json::Value;
use shop_platform::Setting;

use crate::context::{Context, PLATFORM_FILE};
use crate::error::CommandError;
use crate::exit::Exit;
use crate::ui::{Paint, Ui};

/// Print every value that holds in one environment
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The environment, as named in shop.toml
    #[arg(short, long, value_name = "NAME")]
    env: String,
    /// Say on which line of shop.toml each value stands
    #[arg(long)]
    origin: bool,
}

pub(crate) fn run(args: &ShowArgs, context: &Context, ui: &mut Ui) -> Result<Exit, CommandError> {
    let resolved = context.environment(&args.env)?;
    let text = lines(&resolved.settings, args.origin, ui.paint());
    if args.origin {
        let data = Origins { environment: &args.env, file: PLATFORM_FILE, settings: &resolved.settings };
        ui.data(&data, text)?;
    } else {
        ui.data(&resolved, text)?;
    }
    Ok(Exit::Done)
}

#[derive(Serialize)]
struct Origins<'a> {
    environment: &'a str,
    file: &'static str,
    settings: &'a [Setting],
}

fn lines(settings: &[Setting], origin: bool, paint: Paint) -> String {
    let widest = settings.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
    let line = |setting: &Setting| {
        let (key, value) = (&setting.key, toml(&setting.value));
        if !origin {
            return format!("{key} = {value}\n");
        }
        let place = match setting.line {
            Some(line) => format!("{PLATFORM_FILE}:{line}"),
            None => "default".to_owned(),
        };
        format!("{}  {key:<widest$} = {value}\n", paint.faint(format!("{place:<14}")))
    };
    settings.iter().map(line).collect()
}

/// A value as TOML writes it; JSON's scalars are TOML's.
fn toml(value: &Value) -> String {
    match value {
        Value::Array(items) => format!("[{}]", items.iter().map(toml).collect::<Vec<_>>().join(", ")),
        Value::Object(fields) if fields.is_empty() => "{}".to_owned(),
        Value::Object(fields) => {
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key} = {}", toml(value))).collect();
            format!("{{ {} }}", fields.join(", "))
        }
        scalar => scalar.to_string(),
    }
}
