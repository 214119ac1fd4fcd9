//! Libraries that can't be loaded. A process holds one library, so these tests have a program in which there is none.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::path::Path;

use lucida_core::{BuildContext, ErrorKind};
use lucida_onnx::{Device, Runtime};

fn refusal(library: &Path) -> String {
    let error = Runtime::load(Device::Cpu, Some(library), &BuildContext::from_env()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    error.to_string()
}

#[test]
fn a_file_that_is_no_library_is_named_with_the_way_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    std::fs::write(&library, "not a library").unwrap();
    let error = refusal(&library);
    assert!(error.contains(library.to_str().unwrap()), "{error}");
    assert!(error.contains("lucida setup"), "{error}");
}

#[test]
fn a_library_that_is_too_old_is_named_with_its_version() {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("libonnxruntime.so");
    let source = folder.path().join("old.c");
    let text = r#"
        static const char *version(void) { return "1.10.0"; }
        static const void *api(unsigned wanted) { return 0; }
        static const struct { const void *(*api)(unsigned); const char *(*version)(void); } base = { api, version };
        const void *OrtGetApiBase(void) { return &base; }
    "#;
    std::fs::write(&source, text).unwrap();
    let compiled = std::process::Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .args([&library, &source])
        .status();
    // A C compiler is needed to build the server, so it is there wherever this test was compiled.
    assert!(compiled.unwrap().success());
    let error = refusal(&library);
    assert!(error.contains("1.10.0"), "{error}");
    assert!(error.contains(library.to_str().unwrap()), "{error}");
}
