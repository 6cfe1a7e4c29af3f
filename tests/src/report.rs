//! Reads `perfvisor report --json`: the tables, with their ids resolved.

use serde_json::Value;

/// One report.
#[derive(Clone, Debug)]
pub struct Report {
    /// The whole document.
    pub json: Value,
}

impl Report {
    /// Takes the text of `report --json` apart.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let json = serde_json::from_str(text)
            .unwrap_or_else(|error| panic!("report --json is not JSON: {error}\n{text:.300}"));
        Self { json }
    }

    /// The rows of a table.
    ///
    /// # Panics
    /// When the report has no such table.
    #[must_use]
    pub fn table(&self, name: &str) -> &[Value] {
        self.json[name].as_array().unwrap_or_else(|| panic!("report --json has no table {name}"))
    }

    /// The rows of a table inside a section of the report.
    ///
    /// # Panics
    /// When the report has no such table.
    #[must_use]
    pub fn table_of(&self, section: &str, name: &str) -> &[Value] {
        self.json[section][name]
            .as_array()
            .unwrap_or_else(|| panic!("report --json has no table {section}.{name}"))
    }

    /// The findings.
    ///
    /// # Panics
    /// When the report has none, not even an empty list.
    #[must_use]
    pub fn findings(&self) -> &[Value] {
        self.json["findings"].as_array().expect("report --json has a list of findings")
    }

    /// The row a field of another row points to.
    #[must_use]
    pub fn row(&self, table: &str, id: &Value) -> Option<&Value> {
        let index = usize::try_from(id.as_u64()?).ok()?;
        self.table(table).get(index)
    }

    /// An address or register, which JSON holds as a string (`"0x…"`).
    ///
    /// # Panics
    /// When `value` is not one.
    #[must_use]
    pub fn address(value: &Value) -> u64 {
        let digits = value.as_str().and_then(|text| text.strip_prefix("0x"));
        let parsed = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
        parsed.unwrap_or_else(|| panic!("not an address: {value}"))
    }

    /// Name of a component by its id; `?` when it is unknown.
    #[must_use]
    pub fn component(&self, id: &Value) -> &str {
        self.row("components", id).and_then(|row| row["name"].as_str()).unwrap_or("?")
    }

    /// Name and symbol of an API by its id.
    #[must_use]
    pub fn symbol(&self, id: &Value) -> &str {
        self.row("apis", id).and_then(|row| row["symbol"].as_str()).unwrap_or("?")
    }

    /// The exact number of calls of `symbol` made by component `caller`, over all processes.
    #[must_use]
    pub fn calls(&self, caller: &str, symbol: &str) -> u64 {
        self.sites_of(caller, symbol).map(|site| site["count"].as_u64().unwrap_or(0)).sum()
    }

    /// The sites of `symbol` in component `caller`.
    pub fn sites_of<'a>(
        &'a self,
        caller: &'a str,
        symbol: &'a str,
    ) -> impl Iterator<Item = &'a Value> {
        self.table("sites").iter().filter(move |site| {
            self.component(&site["caller"]) == caller && self.symbol(&site["api"]) == symbol
        })
    }

    /// The exact number of calls of `symbol` made by anybody.
    #[must_use]
    pub fn calls_by_all(&self, symbol: &str) -> u64 {
        let sites = self.table("sites").iter();
        sites
            .filter(|site| self.symbol(&site["api"]) == symbol)
            .map(|site| site["count"].as_u64().unwrap_or(0))
            .sum()
    }

    /// The group of threads whose name contains `part`.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn group(&self, part: &str) -> (usize, &Value) {
        self.table("groups")
            .iter()
            .enumerate()
            .find(|(_, group)| group["name"].as_str().is_some_and(|name| name.contains(part)))
            .unwrap_or_else(|| {
                let names: Vec<_> =
                    self.table("groups").iter().map(|group| &group["name"]).collect();
                panic!("no thread group {part}: {names:?}")
            })
    }

    /// The row of one API in one group.
    #[must_use]
    pub fn api_row(&self, group: usize, symbol: &str) -> Option<&Value> {
        self.table("api_rows").iter().find(|row| {
            row["group"].as_u64() == Some(group as u64) && self.symbol(&row["api"]) == symbol
        })
    }
}
