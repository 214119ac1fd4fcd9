//! What a config file and the environment can say about a hub.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use lucida_core::config::local;
use lucida_core::{Error, Result, ResultExt, Secret};
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;

use super::downloaded;
use super::exports::Exports;
use super::repo::{RepoId, is_revision};

const DEFAULT_ENDPOINT: &str = "https://huggingface.co";
const DEFAULT_REVISION: &str = "main";

/// The settings of a model's download, an embedder's table `hub`.
///
/// What is not set here is taken from the variables that Hugging Face's own tools read.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HubConfig {
    /// The address of the hub or a mirror; else `HF_ENDPOINT`, else Hugging Face's.
    #[schemars(example = &"https://hub.example.com")]
    pub endpoint: Option<String>,
    /// The token for private and gated models. It is sent to the endpoint only. Else it is read from `token_file`,
    /// `HF_TOKEN`, the file `HF_TOKEN_PATH` or where `hf auth login` stores it.
    #[schemars(example = &"hf_…")]
    pub token: Option<Secret>,
    /// A file that holds the token.
    #[schemars(example = &"/run/secrets/hub")]
    pub token_file: Option<PathBuf>,
    /// The branch, tag or commit of models that don't name theirs (`"owner/name@revision"`). A commit never changes and,
    /// once downloaded, needs no network.
    #[schemars(example = &"main")]
    pub revision: Option<String>,
    /// Whether only models that are already downloaded are used, as with `HF_HUB_OFFLINE=1`.
    pub offline: bool,
    /// The folder of downloaded models, in the layout that Hugging Face's own tools share; else `HF_HUB_CACHE`, else
    /// `HF_HOME/hub`, else `~/.cache/huggingface/hub`.
    #[schemars(example = &"/var/cache/hub")]
    pub cache_dir: Option<PathBuf>,
}

/// How to fetch a model: the settings with the environment and the defaults filled in.
#[derive(Debug, Clone)]
pub struct HubOptions {
    /// The hub's address.
    pub endpoint: String,
    /// What may read private and gated models.
    pub token: Option<Secret>,
    /// The branch, tag or commit of a model that names none itself.
    pub revision: String,
    /// Whether only what is in the cache is used.
    pub offline: bool,
    /// The cache's folder.
    pub cache_dir: PathBuf,
    /// The ONNX files that the engine runs.
    pub exports: Exports,
}

impl HubConfig {
    /// Checks what types can't say, without any I/O.
    ///
    /// # Errors
    /// `ConfigInvalid`, whose field starts with `hub`, the table's name.
    pub fn validate(&self) -> Result<()> {
        if let Some(endpoint) = &self.endpoint {
            parse_endpoint(endpoint)?;
        }
        if self.token.is_some() && self.token_file.is_some() {
            let message = "is set beside hub.token: leave one of them out";
            return Err(Error::config("hub.token_file", message));
        }
        if let Some(revision) = &self.revision
            && !is_revision(revision)
        {
            let message = format!("`{revision}` is not a branch, tag or commit; expected one like \"main\"");
            return Err(Error::config("hub.revision", message));
        }
        Ok(())
    }

    /// Checks that the token's file can be read.
    ///
    /// # Errors
    /// `ConfigInvalid`, naming the file.
    pub fn check_local(&self) -> Result<()> {
        let file = self.token_file.as_ref();
        file.map_or(Ok(()), |file| local::readable_file("hub.token_file", file))
    }

    /// Fills in what the environment says and reads the token's file.
    ///
    /// # Errors
    /// `ConfigInvalid` for a setting or a variable that can't be, I/O errors of the token's file by kind.
    pub async fn options(&self, exports: Exports) -> Result<HubOptions> {
        let config = self.clone();
        let resolve = move || config.resolve(exports, &|name| std::env::var_os(name));
        tokio::task::spawn_blocking(resolve)
            .await
            .map_err(|error| Error::internal("reading the hub's settings failed").with_source(error))?
    }

    /// Finds the folder of a repository that is wholly in the cache; `None` where it isn't. Uses no network.
    ///
    /// # Errors
    /// `ConfigInvalid` for a setting or a variable that can't be, I/O errors of the token's file by kind.
    pub fn downloaded(&self, repo: &RepoId, exports: Exports) -> Result<Option<PathBuf>> {
        let options = self.resolve(exports, &|name| std::env::var_os(name))?;
        downloaded(repo, &options)
    }

    fn resolve(&self, exports: Exports, env: Env<'_>) -> Result<HubOptions> {
        self.validate()?;
        let endpoint = match (&self.endpoint, text(env, "HF_ENDPOINT")) {
            (Some(endpoint), _) => endpoint.clone(),
            (None, Some(endpoint)) => {
                parse_endpoint(&endpoint).context("reading HF_ENDPOINT")?;
                endpoint
            }
            (None, None) => DEFAULT_ENDPOINT.to_owned(),
        };
        let cache_dir = match &self.cache_dir {
            Some(dir) => dir.clone(),
            None => path(env, "HF_HUB_CACHE")
                .or_else(|| home(env).map(|home| home.join("hub")))
                .ok_or_else(|| {
                    let message = "has no default without HF_HOME or HOME: set it to a folder for models";
                    Error::config("hub.cache_dir", message)
                })?,
        };
        Ok(HubOptions {
            endpoint,
            token: self.find_token(env)?,
            revision: self
                .revision
                .clone()
                .unwrap_or_else(|| DEFAULT_REVISION.to_owned()),
            offline: self.offline || text(env, "HF_HUB_OFFLINE").is_some_and(|value| is_true(&value)),
            cache_dir,
            exports,
        })
    }

    fn find_token(&self, env: Env<'_>) -> Result<Option<Secret>> {
        if let Some(token) = &self.token {
            return Ok(Some(token.clone()));
        }
        if let Some(file) = &self.token_file {
            let doing = || format!("reading the token in {} (hub.token_file)", file.display());
            return match read_token(file).context(doing())? {
                Some(token) => Ok(Some(token)),
                None => {
                    Err(Error::config("hub.token_file", "is empty: put a token into it").context(doing()))
                }
            };
        }
        if let Some(token) = text(env, "HF_TOKEN") {
            return Ok(Some(Secret::new(token.trim())));
        }
        let file = path(env, "HF_TOKEN_PATH").or_else(|| home(env).map(|home| home.join("token")));
        match file {
            Some(file) => match read_token(&file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                read => read.context(format!("reading the token in {}", file.display())),
            },
            None => Ok(None),
        }
    }
}

/// Reads a hub's address.
///
/// # Errors
/// `ConfigInvalid`, without what the address holds: it may be a password.
pub(super) fn parse_endpoint(text: &str) -> Result<Url> {
    let refuse = |message: &str| Err(Error::config("hub.endpoint", message));
    let Ok(url) = Url::parse(text) else {
        return refuse("is no URL, such as \"https://hub.example.com\"");
    };
    if !matches!(url.scheme(), "http" | "https") {
        return refuse("starts with neither http:// nor https://");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("holds a user or a password: put a token into hub.token");
    }
    if url.query().is_some() || url.fragment().is_some() {
        return refuse("has something after its path: leave out the ? or # and what follows");
    }
    Ok(url)
}

/// Looks up a variable; the process's own ones outside tests.
type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

fn path(env: Env<'_>, name: &str) -> Option<PathBuf> {
    env(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn text(env: Env<'_>, name: &str) -> Option<String> {
    env(name)
        .and_then(|value| value.into_string().ok())
        .filter(|value| !value.trim().is_empty())
}

/// The folder that Hugging Face's tools share.
fn home(env: Env<'_>) -> Option<PathBuf> {
    path(env, "HF_HOME")
        .or_else(|| path(env, "XDG_CACHE_HOME").map(|dir| dir.join("huggingface")))
        .or_else(|| {
            path(env, "HOME")
                .or_else(|| path(env, "USERPROFILE"))
                .map(|dir| dir.join(".cache/huggingface"))
        })
}

fn is_true(value: &str) -> bool {
    ["1", "on", "yes", "true"].contains(&value.trim().to_ascii_lowercase().as_str())
}

fn read_token(file: &Path) -> io::Result<Option<Secret>> {
    let text = fs::read_to_string(file)?;
    let token = text.trim();
    Ok((!token.is_empty()).then(|| Secret::new(token)))
}

#[cfg(test)]
mod tests {
    use lucida_core::ErrorKind;
    use serde_json::{Value, json};

    use super::*;

    fn config(settings: Value) -> HubConfig {
        let mut all = json!({ "offline": false });
        for (key, value) in settings.as_object().unwrap() {
            all[key] = value.clone();
        }
        serde_json::from_value(all).unwrap()
    }

    fn resolve(settings: Value, variables: &[(&str, &str)]) -> Result<HubOptions> {
        config(settings).resolve(Exports::Plain, &|name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| OsString::from(value))
        })
    }

    fn token(settings: Value, variables: &[(&str, &str)]) -> Option<String> {
        let options = resolve(settings, variables).unwrap();
        options.token.map(|token| token.expose().to_owned())
    }

    #[test]
    fn without_settings_and_variables_it_is_the_public_hub_and_the_usual_cache() {
        let options = resolve(json!({}), &[("HOME", "/home/a")]).unwrap();
        assert_eq!(options.endpoint, "https://huggingface.co");
        assert_eq!(options.revision, "main");
        assert_eq!(options.cache_dir, Path::new("/home/a/.cache/huggingface/hub"));
        assert!(options.token.is_none() && !options.offline);
    }

    #[test]
    fn the_cache_is_where_hugging_face_s_tools_have_it() {
        let all = [
            ("HF_HUB_CACHE", "/cache"),
            ("HF_HOME", "/hf"),
            ("XDG_CACHE_HOME", "/xdg"),
            ("HOME", "/home/a"),
        ];
        for (first, dir) in [
            (0, "/cache"),
            (1, "/hf/hub"),
            (2, "/xdg/huggingface/hub"),
            (3, "/home/a/.cache/huggingface/hub"),
        ] {
            let options = resolve(json!({}), &all[first..]).unwrap();
            assert_eq!(options.cache_dir, Path::new(dir));
        }
        let options = resolve(json!({ "cache_dir": "/mine" }), &all).unwrap();
        assert_eq!(options.cache_dir, Path::new("/mine"));
        let error = resolve(json!({}), &[]).unwrap_err();
        assert_eq!(error.field(), Some("hub.cache_dir"), "{error}");
    }

    #[test]
    fn a_setting_goes_before_its_variable() {
        let variables = [("HOME", "/h"), ("HF_ENDPOINT", "https://env.example")];
        let options = resolve(json!({}), &variables).unwrap();
        assert_eq!(options.endpoint, "https://env.example");
        let options = resolve(json!({ "endpoint": "https://set.example" }), &variables).unwrap();
        assert_eq!(options.endpoint, "https://set.example");
    }

    #[test]
    fn either_switch_is_offline() {
        let offline = |set: bool, variable: &str| {
            resolve(
                json!({ "offline": set }),
                &[("HOME", "/h"), ("HF_HUB_OFFLINE", variable)],
            )
            .unwrap()
            .offline
        };
        assert!(offline(true, "") && offline(false, "1") && offline(false, "True"));
        assert!(!offline(false, "") && !offline(false, "0"));
    }

    #[test]
    fn the_token_is_the_nearest_one() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, token: &str| {
            let path = dir.path().join(name);
            fs::write(&path, token).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let home = dir.path().to_str().unwrap();
        let (set, named) = (file("set", "of_file\n"), file("named", " of_path\n"));
        let all = [
            ("HF_TOKEN", "of_env"),
            ("HF_TOKEN_PATH", named.as_str()),
            ("HF_HOME", home),
        ];

        assert_eq!(token(json!({}), &all[2..]), None);
        file("token", "of_login");
        assert_eq!(token(json!({}), &all[2..]).as_deref(), Some("of_login"));
        assert_eq!(token(json!({}), &all[1..]).as_deref(), Some("of_path"));
        assert_eq!(token(json!({}), &all).as_deref(), Some("of_env"));
        assert_eq!(
            token(json!({ "token_file": set }), &all).as_deref(),
            Some("of_file")
        );
        assert_eq!(token(json!({ "token": "set" }), &all).as_deref(), Some("set"));
    }

    #[test]
    fn a_token_file_that_was_named_has_to_hold_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let read = || resolve(json!({ "token_file": path }), &[("HOME", "/h")]).unwrap_err();
        let error = read();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.to_string().contains("hub.token_file"), "{error}");
        fs::write(&path, "\n").unwrap();
        assert_eq!(read().field(), Some("hub.token_file"));
    }

    #[test]
    fn a_value_that_can_not_be_is_refused_by_its_key() {
        for (settings, field, says) in [
            (json!({ "endpoint": "hub" }), "hub.endpoint", "no URL"),
            (json!({ "endpoint": "ftp://hub" }), "hub.endpoint", "http://"),
            (
                json!({ "endpoint": "https://a:pw@hub" }),
                "hub.endpoint",
                "hub.token",
            ),
            (
                json!({ "endpoint": "https://hub/?a=b" }),
                "hub.endpoint",
                "leave out",
            ),
            (
                json!({ "token": "a", "token_file": "b" }),
                "hub.token_file",
                "hub.token",
            ),
            (json!({ "revision": "../x" }), "hub.revision", "../x"),
            (json!({ "revision": "" }), "hub.revision", "branch"),
        ] {
            let error = config(settings).validate().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
            assert_eq!(error.field(), Some(field), "{error}");
            assert!(error.message().contains(says), "{error}");
            assert!(!error.to_string().contains("pw"), "{error}");
        }
        let error = resolve(json!({}), &[("HOME", "/h"), ("HF_ENDPOINT", "hub")]).unwrap_err();
        assert!(error.to_string().contains("HF_ENDPOINT"), "{error}");
    }

    #[test]
    fn no_print_of_the_settings_shows_the_token() {
        let options = resolve(json!({ "token": "hf_hush" }), &[("HOME", "/h")]).unwrap();
        let settings = config(json!({ "token": "hf_hush" }));
        assert!(!format!("{options:?} {settings:?}").contains("hush"));
    }
}
