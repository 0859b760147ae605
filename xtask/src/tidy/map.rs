//! The two tables of docs/ARCHITECTURE.md name the crates that there are. Must not judge what the rows say of them.
use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Finding, edges};

const FILE: &str = "docs/ARCHITECTURE.md";

/// A table: the heading that it stands under, and the column with the names.
const TABLES: [(&str, usize); 2] = [("## Where things are", 1), ("## Who may depend on whom", 0)];

pub(crate) fn check(root: &Path) -> Result<Vec<Finding>> {
    let text = std::fs::read_to_string(root.join(FILE)).with_context(|| format!("{FILE} cannot be read"))?;
    let crates: BTreeSet<&str> = edges::names().collect();
    Ok(TABLES.iter().flat_map(|(heading, column)| compare(&text, heading, *column, &crates)).collect())
}

fn compare(text: &str, heading: &str, column: usize, crates: &BTreeSet<&str>) -> Vec<Finding> {
    let named = names(text, heading, column);
    let title = heading.trim_start_matches("## ");
    let lacking =
        crates.difference(&named).map(|name| format!("`{name}` has no row under \"{title}\": add it"));
    let unknown = named.difference(crates).map(|name| {
        format!("\"{title}\" names `{name}`, which is no crate of xtask/src/tidy/edges.rs: take it out")
    });
    lacking.chain(unknown).map(|message| Finding::new("map", FILE, message)).collect()
}

/// The names in a column of the table under a heading; a cell may have several, or none.
fn names<'a>(text: &'a str, heading: &str, column: usize) -> BTreeSet<&'a str> {
    let section = text.lines().skip_while(|line| *line != heading).skip(1);
    let rows = section.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with('|'));
    // The first two are the head and its rule.
    let cells = rows.skip(2).filter_map(|row| row.split('|').nth(column + 1));
    cells.flat_map(|cell| cell.split(',')).map(str::trim).filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# A\n## Where\n| folder | crate |\n|---|---|\n| `a` | shop-a |\n| `infra` | |\n| `g` | gone |\n\n\
        ## Who\n| crate | may use |\n|---|---|\n| shop-a, shop-b | nothing |\n";

    #[test]
    fn the_names_of_a_table_are_read() {
        assert_eq!(names(TEXT, "## Where", 1), BTreeSet::from(["gone", "shop-a"]));
        assert_eq!(names(TEXT, "## Who", 0), BTreeSet::from(["shop-a", "shop-b"]));
    }

    #[test]
    fn a_crate_without_a_row_and_a_row_without_a_crate_are_found() {
        let crates = BTreeSet::from(["shop-a", "shop-b"]);
        let said = |heading, column| -> Vec<String> {
            compare(TEXT, heading, column, &crates).into_iter().map(|finding| finding.message).collect()
        };
        let found = said("## Where", 1);
        assert!(found[0].starts_with("`shop-b` has no row under \"Where\""), "{found:?}");
        assert!(found[1].starts_with("\"Where\" names `gone`") && found.len() == 2, "{found:?}");
        assert_eq!(said("## Who", 0), [""; 0]);
    }
}
