package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
)

// custom is one version of a kind that a definition brings.
type custom struct {
	structure *structural.Structural
	validator validation.SchemaValidator
	rules     *cel.Validator
}

// defined are the kinds of the definitions that have been read.
var defined = map[schema.GroupVersionKind]custom{}

// define reads a CustomResourceDefinition.
func define(raw []byte) error {
	var d apiextensionsv1.CustomResourceDefinition
	if err := json.Unmarshal(raw, &d); err != nil {
		return err
	}
	apiextensionsv1.SetDefaults_CustomResourceDefinition(&d)
	for _, v := range d.Spec.Versions {
		if !v.Served {
			continue
		}
		var internal apiextensions.CustomResourceValidation
		if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(v.Schema, &internal, nil); err != nil {
			return err
		}
		structure, err := structural.NewStructural(internal.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		validator, _, err := validation.NewSchemaValidator(internal.OpenAPIV3Schema)
		if err != nil {
			return err
		}
		defined[schema.GroupVersionKind{Group: d.Spec.Group, Version: v.Name, Kind: d.Spec.Names.Kind}] = custom{
			structure: structure, validator: validator, rules: cel.NewValidator(structure, true, celconfig.PerCallLimit),
		}
	}
	return nil
}

// kindOf is what an object says of itself.
func kindOf(raw []byte) (schema.GroupVersionKind, error) {
	var of unstructured.Unstructured
	if err := json.Unmarshal(raw, &of.Object); err != nil {
		return schema.GroupVersionKind{}, err
	}
	return of.GroupVersionKind(), nil
}

// create does what comes before an object of a definition is stored: no unknown field,
// defaults, the schema, and its rules.
func (c custom) create(raw []byte) error {
	var object unstructured.Unstructured
	if err := object.UnmarshalJSON(raw); err != nil {
		return err
	}
	if unknown := pruning.PruneWithOptions(object.Object, c.structure, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}); len(unknown) > 0 {
		return fmt.Errorf("unknown field %s", strings.Join(unknown, ", "))
	}
	defaulting.Default(object.Object, c.structure)
	found := validation.ValidateCustomResource(nil, object.Object, c.validator)
	found = append(found, listtype.ValidateListSetsAndMaps(nil, c.structure, object.Object)...)
	if len(found) == 0 && c.rules != nil {
		found, _ = c.rules.Validate(context.Background(), nil, c.structure, object.Object, nil, celconfig.RuntimeCELCostBudget)
	}
	var errs []error
	for _, f := range found {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}
