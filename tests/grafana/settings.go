package main

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/ini.v1"
)

//go:embed names.txt
var names string

// What Grafana does where nothing is said, as far as it matters here.
const defaults = `
[paths]
data = data
provisioning = conf/provisioning
[server]
protocol = http
http_port = 3000
domain = localhost
root_url = %(protocol)s://%(domain)s:%(http_port)s/
[security]
admin_user = admin
admin_password = admin
cookie_samesite = lax
[users]
auto_assign_org_role = Viewer
[auth]
login_cookie_name = grafana_session
login_maximum_inactive_lifetime_duration = 7d
login_maximum_lifetime_duration = 30d
[auth.basic]
enabled = true
[auth.generic_oauth]
name = OAuth
allow_sign_up = true
scopes = user:email
`

type settings struct{ file *ini.File }

func (s settings) get(section, key string) string { return s.file.Section(section).Key(key).String() }
func (s settings) is(section, key string) bool {
	return s.file.Section(section).Key(key).MustBool(false)
}

// duration reads Grafana's own: 30m, 12h, 7d, 2w.
func (s settings) duration(section, key string) time.Duration {
	said := s.get(section, key)
	units := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 168 * time.Hour}
	count, err := strconv.Atoi(strings.TrimRight(said, "smhdw"))
	unit := units[strings.TrimLeft(said, "0123456789")]
	if err != nil || unit == 0 {
		fail("[%s] %s: %q is no duration", section, key, said)
	}
	return time.Duration(count) * unit
}

// known are the names of all settings: of Grafana's sections, and what its image's entry point says by variables.
func known() map[string][]string {
	found := map[string][]string{}
	for line := range strings.Lines(names) {
		if section, keys, ok := strings.Cut(line, ":"); ok && !strings.HasPrefix(line, "#") {
			found[section] = strings.Fields(keys)
		}
	}
	return found
}

// expand puts in what a value refers to; gives what its file's end has no part of.
func expand(value string) string {
	value = regexp.MustCompile(`\$__(file|env)\{([^}]*)\}`).ReplaceAllStringFunc(value, func(found string) string {
		kind, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(found, "$__"), "}"), "{")
		if kind == "env" {
			return os.Getenv(name)
		}
		text, err := os.ReadFile(name)
		if err != nil {
			fail("%v", err)
		}
		return strings.TrimSpace(string(text))
	})
	return regexp.MustCompile(`\$\{([A-Za-z0-9_]+)\}`).ReplaceAllStringFunc(value, func(found string) string {
		return os.Getenv(found[2 : len(found)-1])
	})
}

func override(file *ini.File, words []string, prefix string) {
	for _, word := range words {
		if said, ok := strings.CutPrefix(word, prefix); ok {
			name, value, _ := strings.Cut(said, "=")
			at := strings.LastIndex(name, ".")
			if at < 0 {
				fail("%s: no section", word)
			}
			file.Section(name[:at]).Key(name[at+1:]).SetValue(value)
		}
	}
}

// read says what holds: defaults, what the command line says of them, the file, variables, the rest of the command line.
func read(config string, words []string) settings {
	options := ini.LoadOptions{AllowBooleanKeys: true}
	file, err := ini.LoadSources(options, []byte(defaults))
	if err != nil {
		fail("%v", err)
	}
	override(file, words, "cfg:default.")
	if config != "" {
		own, err := ini.LoadSources(options, config)
		if err == nil {
			err = file.Append(config)
		}
		if err != nil {
			fail("%s: %v", config, err)
		}
		refuse(own)
	}
	variables := map[string]bool{"GF_PATHS_HOME": true, "GF_PATHS_CONFIG": true}
	for section, keys := range known() {
		for _, key := range keys {
			name := "GF_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(section+"_"+key))
			variables[name] = true
			if value := os.Getenv(name); value != "" {
				file.Section(section).Key(key).SetValue(value)
			}
		}
	}
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, "GF_") && !variables[name] {
			fail("%s: Grafana has no such setting", name)
		}
	}
	override(file, slices.DeleteFunc(slices.Clone(words), func(word string) bool { return strings.HasPrefix(word, "cfg:default.") }), "cfg:")
	for _, section := range file.Sections() {
		for _, key := range section.Keys() {
			key.SetValue(expand(key.Value()))
		}
	}
	return settings{file}
}

// refuse ends it where a file says what Grafana does not know. Grafana itself would say nothing and go on without.
func refuse(file *ini.File) {
	for _, section := range file.Sections() {
		keys, ok := known()[section.Name()]
		for _, key := range section.Keys() {
			if !ok || !slices.Contains(keys, key.Name()) && section.Name() != "feature_toggles" {
				fail("[%s] %s: Grafana has no such setting", section.Name(), key.Name())
			}
		}
	}
}

func fail(format string, values ...any) {
	fmt.Fprintf(os.Stderr, "grafana: "+format+"\n", values...)
	os.Exit(1)
}

func under(home, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(home, path)
}
