package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

type source struct {
	Name, Type, Access, URL, UID string
	BasicAuth                    bool              `yaml:"basicAuth"`
	BasicAuthUser                string            `yaml:"basicAuthUser"`
	JSON                         map[string]any    `yaml:"jsonData"`
	Secret                       map[string]string `yaml:"secureJsonData"`
	OrgID                        int               `yaml:"orgId"`
	Editable                     bool              `yaml:"editable"`
	Default                      bool              `yaml:"isDefault"`
	Version                      int               `yaml:"version"`
	Credentials                  bool              `yaml:"withCredentials"`
}

type provider struct {
	Name, Folder, Type string
	FolderUID          string `yaml:"folderUid"`
	OrgID              int    `yaml:"orgId"`
	DisableDeletion    bool   `yaml:"disableDeletion"`
	Interval           int    `yaml:"updateIntervalSeconds"`
	AllowUIUpdates     bool   `yaml:"allowUiUpdates"`
	Options            struct {
		Path     string
		ByFolder bool `yaml:"foldersFromFilesStructure"`
	}
}

type dashboard struct {
	folder string
	model  map[string]any
}

var sourceJSON = strings.Fields(`httpMethod prometheusType prometheusVersion cacheLevel timeInterval queryTimeout manageAlerts
	disableRecordingRules customQueryParameters tlsAuth tlsAuthWithCACert tlsSkipVerify serverName timeout oauthPassThru keepCookies
	allowAsRecordingRulesTarget defaultEditor incrementalQuerying disableMetricsLookup`)

// files reads what of a kind is provisioned. Grafana reads no other names; unknown keys, which it would not mind, are refused.
func files[T any](folder string, each func(T)) {
	found, _ := filepath.Glob(filepath.Join(folder, "*.y*ml"))
	for _, path := range found {
		file, err := os.Open(path)
		if err != nil {
			fail("%v", err)
		}
		var read T
		decoder := yaml.NewDecoder(file)
		decoder.KnownFields(true)
		if err := decoder.Decode(&read); err != nil {
			fail("%s: %v", path, err)
		}
		each(read)
		file.Close()
	}
}

func (s *server) provision(folder string) {
	// Of each that is not there Grafana says this, and goes on; in the second it takes no other files.
	for _, kind := range []string{"plugins", "alerting"} {
		found, err := os.ReadDir(filepath.Join(folder, kind))
		if err != nil {
			fmt.Fprintf(os.Stderr, "logger=provisioning.%s level=error msg=\"can't read provisioning files from directory\" error=%q\n", kind, err)
		}
		for _, one := range found {
			if kind == "alerting" && !slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(one.Name())) {
				fail("file has invalid suffix %q", one.Name())
			}
		}
	}
	files(filepath.Join(folder, "datasources"), func(read struct {
		Version int `yaml:"apiVersion"`
		Prune   bool
		Delete  []struct {
			Name  string
			OrgID int `yaml:"orgId"`
		} `yaml:"deleteDatasources"`
		Sources []*source `yaml:"datasources"`
	}) {
		for _, one := range read.Sources {
			for key := range one.JSON {
				if !slices.Contains(sourceJSON, key) {
					fail("data source %s: jsonData.%s is not known", one.Name, key)
				}
			}
			for key, value := range one.Secret {
				one.Secret[key] = expand(value)
			}
			if one.UID == "" || one.Type != "prometheus" || one.Access != "proxy" || one.JSON["tlsSkipVerify"] == true {
				fail("data source %s: this stand-in knows Prometheus by proxy, with a uid, verified", one.Name)
			}
			one.URL = strings.TrimSuffix(expand(one.URL), "/")
			s.sources[one.UID] = one
		}
	})
	files(filepath.Join(folder, "dashboards"), func(read struct {
		Version   int `yaml:"apiVersion"`
		Providers []provider
	}) {
		for _, one := range read.Providers {
			s.load(one)
		}
	})
}

func (s *server) load(from provider) {
	err := filepath.WalkDir(from.Options.Path, func(path string, entry fs.DirEntry, err error) error {
		// A folder that is mounted from a ConfigMap has the files twice: Grafana leaves out names that begin with a dot.
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), "..") {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, ".json") {
			return err
		}
		text, err := os.ReadFile(path)
		model := map[string]any{}
		if err == nil {
			err = json.Unmarshal(text, &model)
		}
		uid, _ := model["uid"].(string)
		if err != nil || uid == "" || model["title"] == "" || s.dashboards[uid].model != nil {
			return fmt.Errorf("%s: no uid of its own, no title, or no dashboard: %w", path, err)
		}
		s.dashboards[uid] = dashboard{from.Folder, model}
		return nil
	})
	if err != nil {
		fail("dashboards of %s: %v", from.Name, err)
	}
}

// ---- what data sources are asked

// send asks a data source in somebody's name: with his token where it says oauthPassThru, and nothing else of his browser.
func (s *server) send(from *source, who *person, method, path, kind string, body io.Reader) (*http.Response, error) {
	request, err := http.NewRequest(method, from.URL+"/"+path, body)
	if err != nil {
		return nil, err
	}
	if kind != "" {
		request.Header.Set("Content-Type", kind)
	}
	if from.BasicAuth {
		request.SetBasicAuth(from.BasicAuthUser, from.Secret["basicAuthPassword"])
	}
	if from.JSON["oauthPassThru"] == true && who.Token != "" && (who.Expires.IsZero() || time.Now().Before(who.Expires)) {
		request.Header.Set("Authorization", "Bearer "+who.Token)
	}
	ca := ""
	if from.JSON["tlsAuthWithCACert"] == true {
		ca = from.Secret["tlsCACert"]
	}
	client, err := verifying(ca)
	if err != nil {
		return nil, err
	}
	return client.Do(request)
}

// forward is both ways by which pages reach a data source beside their panels' questions.
func (s *server) forward(w http.ResponseWriter, r *http.Request, who *person) {
	from, path := s.sources[r.PathValue("uid")], r.PathValue("path")
	if from == nil {
		refuseTo(w, http.StatusNotFound, "Data source not found")
		return
	}
	if r.URL.RawQuery != "" {
		path += "?" + r.URL.RawQuery
	}
	answer, err := s.send(from, who, r.Method, path, r.Header.Get("Content-Type"), r.Body)
	if err != nil {
		refuseTo(w, http.StatusBadGateway, err.Error())
		return
	}
	defer answer.Body.Close()
	w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
	w.WriteHeader(answer.StatusCode)
	_, _ = io.Copy(w, answer.Body)
}

// frames are what pages draw: one a series, a field with its times and one, which has the labels, with its values.
func frames(refID, kind string, result json.RawMessage) ([]any, error) {
	type one struct {
		Metric map[string]string
		Value  []any
		Values [][]any
	}
	series := []one{{}}
	var err error
	if kind == "scalar" {
		err = json.Unmarshal(result, &series[0].Value)
	} else {
		err = json.Unmarshal(result, &series)
	}
	shown := []any{}
	for _, one := range series {
		if one.Values == nil {
			one.Values = [][]any{one.Value}
		}
		times, values := []any{}, []any{}
		for _, pair := range one.Values {
			var value float64
			if len(pair) == 2 {
				value, err = strconv.ParseFloat(fmt.Sprint(pair[1]), 64)
			}
			if len(pair) != 2 || err != nil {
				return nil, fmt.Errorf("%v is no value: %w", pair, err)
			}
			at, _ := pair[0].(float64)
			times = append(times, int64(at*1000))
			if math.IsNaN(value) || math.IsInf(value, 0) {
				values = append(values, nil) // JSON has no such number
			} else {
				values = append(values, value)
			}
		}
		fields := []any{map[string]any{"name": "Time", "type": "time"}, map[string]any{"name": "Value", "type": "number", "labels": one.Metric}}
		shown = append(shown, map[string]any{"schema": map[string]any{"refId": refID, "fields": fields}, "data": map[string]any{"values": []any{times, values}}})
	}
	return shown, err
}

// query is /api/ds/query: what panels ask, as its plug-in for Prometheus does.
func (s *server) query(w http.ResponseWriter, r *http.Request, who *person) {
	var asked struct {
		From, To string
		Queries  []struct {
			RefID      string `json:"refId"`
			Datasource struct{ UID string }
			Expr       string
			Range      bool
			IntervalMs int
		}
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&asked); err != nil || len(asked.Queries) == 0 {
		refuseTo(w, http.StatusBadRequest, "bad request data")
		return
	}
	results, status := map[string]any{}, http.StatusOK
	for _, one := range asked.Queries {
		from := s.sources[one.Datasource.UID]
		if from == nil {
			refuseTo(w, http.StatusNotFound, "Data source not found")
			return
		}
		form, path := url.Values{"query": {one.Expr}}, "api/v1/query"
		seconds := func(milliseconds string) string {
			if len(milliseconds) < 4 {
				return milliseconds
			}
			return milliseconds[:len(milliseconds)-3] + "." + milliseconds[len(milliseconds)-3:]
		}
		if one.Range {
			path = "api/v1/query_range"
			form.Set("start", seconds(asked.From))
			form.Set("step", fmt.Sprint(max(one.IntervalMs/1000, 15)))
			form.Set("end", seconds(asked.To))
		} else {
			form.Set("time", seconds(asked.To))
		}
		var said struct {
			Error, ErrorType string
			Data             struct {
				ResultType string
				Result     json.RawMessage
			}
		}
		answer, err := s.send(from, who, http.MethodPost, path, "application/x-www-form-urlencoded", strings.NewReader(form.Encode()))
		code := http.StatusBadGateway
		if err == nil {
			code = answer.StatusCode
			err = json.NewDecoder(answer.Body).Decode(&said)
			answer.Body.Close()
		}
		var shown []any
		if err == nil && code == http.StatusOK {
			shown, err = frames(one.RefID, said.Data.ResultType, said.Data.Result)
		}
		if err != nil && said.Error == "" {
			said.Error = err.Error()
		} else {
			said.Error = said.ErrorType + ": " + said.Error
		}
		if err != nil || code != http.StatusOK {
			status = http.StatusBadRequest
			results[one.RefID] = map[string]any{"status": code, "error": said.Error}
			continue
		}
		results[one.RefID] = map[string]any{"status": code, "frames": shown}
	}
	reply(w, status, map[string]any{"results": results})
}
