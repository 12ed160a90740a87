//! Fields that an autoscaler decides. Its values are shown as if they were wished, and never sent.
//!
//! Who decides is read from managedFields, field by field: the autoscalers that are known here, for the fields that
//! they are for. Anybody else who writes there is drift.

use crate::matcher::{entries, walk};
use platform_core::value::{FieldPath, Segment};
use serde_json::Value;

/// Managers that decide a number of pods. The first is the HorizontalPodAutoscaler, whose writes go to `scale`.
const OF_REPLICAS: [&str; 3] = [
    "kube-controller-manager",
    "keda-operator",
    "cluster-proportional-autoscaler",
];
/// Managers that decide requests and limits of containers: VerticalPodAutoscaler and addon-resizer.
const OF_RESOURCES: [&str; 4] = [
    "vpa-updater",
    "vpa-recommender",
    "vpa-admission-controller",
    "pod_nanny",
];

/// Fields of the wish that an autoscaler was the last to write.
pub(crate) fn fields(object: &Value, wish: &Value) -> Vec<FieldPath> {
    let replicas = FieldPath::from("spec.replicas");
    let resources = FieldPath::from("spec.template.spec.containers[*].resources");
    let mut found = Vec::new();
    for entry in entries(object) {
        let Some(manager) = entry["manager"].as_str() else {
            continue;
        };
        let scales = OF_REPLICAS.contains(&manager) && entry["subresource"] == "scale";
        let resizes = OF_RESOURCES.contains(&manager) && entry["subresource"] != "status";
        if scales || resizes {
            walk(&entry["fieldsV1"], wish, object, &FieldPath::root(), &mut |path| {
                if (scales && *path == replicas) || (resizes && path.is_within(&resources)) {
                    found.push(path.clone());
                }
            });
        }
    }
    found
}

/// The view with the wish's values in these fields.
pub(crate) fn as_wished(view: &mut Value, wish: &Value, fields: &[FieldPath]) {
    for path in fields {
        if let (Some(wished), Some(seen)) = (path.find(wish), slot(view, path.segments())) {
            seen.clone_from(wished);
        }
    }
}

/// What is sent, without these fields: an apply that does not name them leaves them to whom they belong.
pub(crate) fn left_out(body: &mut Value, fields: &[FieldPath]) {
    for path in fields {
        if let Some((Segment::Key(last), above)) = path.segments().split_last()
            && let Some(Value::Object(map)) = slot(body, above)
        {
            map.remove(last);
        }
    }
}

fn slot<'a>(value: &'a mut Value, path: &[Segment]) -> Option<&'a mut Value> {
    path.iter().try_fold(value, |value, segment| match segment {
        Segment::Key(key) => value.get_mut(key),
        Segment::Element(name) => value
            .as_array_mut()?
            .iter_mut()
            .find(|item| item["name"] == name.as_str()),
        Segment::Index(index) => value.get_mut(index),
    })
}

#[cfg(test)]
mod tests {
    use super::{as_wished, fields, left_out};
    use serde_json::{Value, json};

    fn object(manager: &str, subresource: &str, owned: &Value) -> Value {
        json!({
            "metadata": {"managedFields": [{"manager": manager, "subresource": subresource, "fieldsV1": owned}]},
            "spec": {"replicas": 5, "template": {"spec": {"containers": [{"name": "a", "image": "y", "resources": {"requests": {"cpu": "2"}}}]}}},
        })
    }

    #[test]
    fn only_known_managers_and_only_their_fields() {
        let wish = json!({"spec": {"replicas": 1, "template": {"spec": {"containers": [
            {"name": "a", "image": "x", "resources": {"requests": {"cpu": "1"}}},
        ]}}}});
        let all = json!({"f:spec": {"f:replicas": {}, "f:template": {"f:spec": {"f:containers": {
            "k:{\"name\":\"a\"}": {"f:image": {}, "f:resources": {"f:requests": {"f:cpu": {}}}},
        }}}}});
        let cpu = "spec.template.spec.containers[a].resources.requests.cpu";
        for (manager, subresource, expected) in [
            ("kube-controller-manager", "scale", vec!["spec.replicas"]),
            ("kube-controller-manager", "", vec![]),
            ("keda-operator", "scale", vec!["spec.replicas"]),
            ("kubectl", "scale", vec![]),
            ("vpa-updater", "", vec![cpu]),
            ("vpa-updater", "status", vec![]),
            ("kubectl-edit", "", vec![]),
        ] {
            let live = object(manager, subresource, &all);
            let found = fields(&live, &wish);
            let names: Vec<String> = found.iter().map(ToString::to_string).collect();
            assert_eq!(names, expected, "{manager} {subresource}");
            let mut view = json!({"spec": live["spec"]});
            as_wished(&mut view, &wish, &found);
            let mut body = wish.clone();
            left_out(&mut body, &found);
            for path in names {
                let pointer = if path == cpu {
                    "/spec/template/spec/containers/0/resources/requests/cpu"
                } else {
                    "/spec/replicas"
                };
                assert_eq!(view.pointer(pointer), wish.pointer(pointer), "{path}");
                assert_eq!(body.pointer(pointer), None, "{path}");
            }
        }
    }
}
