//! What a config file may say.

use lucida_core::{BuildContext, ErrorKind, Factory, Plugin};
use serde_json::json;

fn check(settings: &serde_json::Value) -> lucida_core::Result<()> {
    let factory = lucida_plugin_exif::factory();
    Factory::<dyn Plugin>::check(&factory, settings)
}

#[tokio::test]
async fn every_setting_has_a_default() {
    check(&json!({})).unwrap();
    check(&json!({"gps": false})).unwrap();
    let factory = lucida_plugin_exif::factory();
    assert_eq!(factory.type_name(), "exif");
    let context = BuildContext::from_env();
    let plugin: std::sync::Arc<dyn Plugin> = factory.build(&json!({}), &context).await.unwrap();
    assert_eq!(plugin.name(), "exif");
}

#[test]
fn unknown_keys_and_wrong_types_are_refused_by_name() {
    for (settings, named) in [(json!({"gsp": false}), "gsp"), (json!({"gps": "no"}), "gps")] {
        let error = check(&settings).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConfigInvalid);
        let told = format!("{} {error}", error.field().unwrap_or_default());
        assert!(told.contains(named), "{told}");
    }
}
