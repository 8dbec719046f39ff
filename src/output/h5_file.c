#include "output/h5_file.h"

#include "base/log.h"

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct dh_h5 {
    hid_t file;
    char *path;
    bool failed; /* an error was told */
};

/* ---- errors ------------------------------------------------------------------------------------------ */

/* HDF5 forgets an error at its next call, even at a close in a clean-up: its reason is kept here when it
 * happens. */
static char last_reason[256];

static herr_t keep_innermost(unsigned depth, const H5E_error2_t *error, void *context)
{
    (void)context;
    if (depth == 0) {
        (void)snprintf(last_reason, sizeof last_reason, "%s", error->desc != NULL ? error->desc : "unknown");
        for (char *c = last_reason; *c != '\0'; c++) { /* some reasons have a time stamp with its line end */
            *c = *c == '\n' ? ' ' : *c;
        }
    }
    return 0;
}

static herr_t remember(hid_t stack, void *context)
{
    return H5Ewalk2(stack, H5E_WALK_UPWARD, keep_innermost, context);
}

/* HDF5 keeps a file whose close failed and comes back to it when the program ends, into freed memory. */
static bool close_failed = false;

bool dh_h5_is_broken(void)
{
    return close_failed;
}

static dh_status failed(dh_h5 *h5, const char *object, const char *action)
{
    h5->failed = true;
    return dh_error(DH_IO, "%s: cannot %s %s: HDF5: %s", h5->path, action, object, last_reason);
}

static dh_status mismatch(const dh_h5 *h5, const char *object, const char *reason)
{
    return dh_error(DH_MISMATCH, "%s: %s: %s", h5->path, object, reason);
}

/* ---- files ------------------------------------------------------------------------------------------- */

static dh_status wrap(hid_t file, const char *path, dh_h5 **out)
{
    void *memory = NULL;
    DH_TRY(dh_allocate(1, sizeof(dh_h5), "an HDF5 file", &memory));
    dh_h5 *h5 = memory;
    h5->file = file;
    h5->path = strdup(path);
    if (h5->path == NULL) {
        free(h5);
        return dh_error(DH_NO_MEMORY, "out of memory: a path");
    }
    *out = h5;
    return DH_OK;
}

dh_status dh_h5_create(const char *path, dh_h5 **out)
{
    (void)H5Eset_auto2(H5E_DEFAULT, remember, NULL);
    dh_h5 unnamed = {.file = H5I_INVALID_HID, .path = (char *)(uintptr_t)path};
    const hid_t create = H5Pcreate(H5P_FILE_CREATE);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    hid_t file = H5I_INVALID_HID;
    if (create >= 0 && access >= 0 && H5Pset_obj_track_times(create, 0) >= 0 &&
        H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110) >= 0) {
        file = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    }
    (void)H5Pclose(access);
    (void)H5Pclose(create);
    return file < 0 ? failed(&unnamed, "the file", "create") : wrap(file, path, out);
}

dh_status dh_h5_open(const char *path, bool writable, dh_h5 **out)
{
    (void)H5Eset_auto2(H5E_DEFAULT, remember, NULL);
    dh_h5 unnamed = {.file = H5I_INVALID_HID, .path = (char *)(uintptr_t)path};
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    (void)H5Pset_libver_bounds(access, H5F_LIBVER_EARLIEST, H5F_LIBVER_V110);
    const hid_t file = H5Fopen(path, writable ? H5F_ACC_RDWR : H5F_ACC_RDONLY, access);
    (void)H5Pclose(access);
    return file < 0 ? failed(&unnamed, "the file", "open") : wrap(file, path, out);
}

dh_status dh_h5_close(dh_h5 *h5)
{
    if (h5 == NULL) {
        return DH_OK;
    }
    dh_status status = DH_OK;
    if (H5Fclose(h5->file) < 0) {
        close_failed = true;
        status = h5->failed ? DH_IO : failed(h5, "the file", "close"); /* the same disk is full once */
    }
    free(h5->path);
    free(h5);
    return status;
}

/* ---- attributes -------------------------------------------------------------------------------------- */

static hid_t text_type(size_t size)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    if (H5Tset_size(type, size) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0 ||
        (size != H5T_VARIABLE && H5Tset_strpad(type, H5T_STR_NULLPAD) < 0)) {
        (void)H5Tclose(type);
        return H5I_INVALID_HID;
    }
    return type;
}

static dh_status attribute_write(dh_h5 *h5, hid_t object, const char *path, const char *name, hid_t type,
                                 hid_t space, hid_t memory_type, const void *data)
{
    const hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool done = attribute >= 0 && (data == NULL || H5Awrite(attribute, memory_type, data) >= 0);
    if (attribute >= 0) {
        (void)H5Aclose(attribute);
    }
    return done ? DH_OK : failed(h5, path, "write an attribute of");
}

/* A list (or with count 1 and scalar a single one) of variable-length texts, as AnnData expects. */
static dh_status attribute_texts(dh_h5 *h5, hid_t object, const char *path, const char *name,
                                 const char *const *value, size_t count, bool scalar)
{
    const hid_t type = text_type(H5T_VARIABLE);
    const hsize_t dims[] = {count};
    const hid_t space = scalar ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, dims, NULL);
    const dh_status status =
        attribute_write(h5, object, path, name, type, space, type, count > 0 ? value : NULL);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return status;
}

static dh_status attribute_text(dh_h5 *h5, hid_t object, const char *path, const char *name,
                                const char *value)
{
    return value == NULL ? DH_OK : attribute_texts(h5, object, path, name, &value, 1, true);
}

static dh_status encoding(dh_h5 *h5, hid_t object, const char *path, const char *type, const char *version)
{
    DH_TRY(attribute_text(h5, object, path, "encoding-type", type));
    return attribute_text(h5, object, path, "encoding-version", version);
}

/* ---- groups ------------------------------------------------------------------------------------------ */

static dh_status group_open_new(dh_h5 *h5, const char *path, hid_t *out)
{
    hid_t group = H5I_INVALID_HID;
    if (strcmp(path, "/") == 0) {
        group = H5Gopen2(h5->file, "/", H5P_DEFAULT);
    } else {
        const hid_t create = H5Pcreate(H5P_GROUP_CREATE);
        if (H5Pset_obj_track_times(create, 0) >= 0) {
            group = H5Gcreate2(h5->file, path, H5P_DEFAULT, create, H5P_DEFAULT);
        }
        (void)H5Pclose(create);
    }
    if (group < 0) {
        return failed(h5, path, "create the group");
    }
    *out = group;
    return DH_OK;
}

static dh_status group_close(dh_h5 *h5, const char *path, hid_t group, dh_status status)
{
    if (H5Gclose(group) < 0 && status == DH_OK) {
        return failed(h5, path, "close the group");
    }
    return status;
}

dh_status dh_h5_group(dh_h5 *h5, const char *path, const char *encoding_type, const char *version)
{
    hid_t group = H5I_INVALID_HID;
    DH_TRY(group_open_new(h5, path, &group));
    return group_close(h5, path, group, encoding(h5, group, path, encoding_type, version));
}

dh_status dh_h5_dataframe(dh_h5 *h5, const char *path, const char *const *column, size_t count)
{
    hid_t group = H5I_INVALID_HID;
    DH_TRY(group_open_new(h5, path, &group));
    dh_status status = encoding(h5, group, path, "dataframe", "0.2.0");
    if (status == DH_OK) {
        status = attribute_text(h5, group, path, "_index", "_index");
    }
    if (status == DH_OK) {
        status = attribute_texts(h5, group, path, "column-order", column, count, false);
    }
    return group_close(h5, path, group, status);
}

dh_status dh_h5_shape(dh_h5 *h5, const char *path, const uint64_t *dims, size_t count)
{
    const hid_t group = H5Gopen2(h5->file, path, H5P_DEFAULT);
    if (group < 0) {
        return failed(h5, path, "open the group");
    }
    const hsize_t size[] = {count};
    const hid_t space = H5Screate_simple(1, size, NULL);
    const dh_status status =
        attribute_write(h5, group, path, "shape", H5T_STD_I64LE, space, H5T_NATIVE_UINT64, dims);
    (void)H5Sclose(space);
    return group_close(h5, path, group, status);
}

/* AnnData wants a truth value as HDF5 knows it from h5py: an enumeration of FALSE and TRUE. */
static dh_status attribute_false(dh_h5 *h5, hid_t object, const char *path, const char *name)
{
    const hid_t type = H5Tenum_create(H5T_NATIVE_INT8);
    int8_t value = 0;
    (void)H5Tenum_insert(type, "FALSE", &value);
    value = 1;
    (void)H5Tenum_insert(type, "TRUE", &value);
    value = 0;
    const hid_t space = H5Screate(H5S_SCALAR);
    const dh_status status = attribute_write(h5, object, path, name, type, space, type, &value);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return status;
}

dh_status dh_h5_categorical(dh_h5 *h5, const char *path, const char *description, const char *unit)
{
    hid_t group = H5I_INVALID_HID;
    DH_TRY(group_open_new(h5, path, &group));
    dh_status status = encoding(h5, group, path, "categorical", "0.2.0");
    if (status == DH_OK) {
        status = attribute_false(h5, group, path, "ordered");
    }
    if (status == DH_OK) {
        status = attribute_text(h5, group, path, "description", description);
    }
    if (status == DH_OK) {
        status = attribute_text(h5, group, path, "unit", unit);
    }
    return group_close(h5, path, group, status);
}

/* ---- arrays ------------------------------------------------------------------------------------------ */

static hid_t native_type(dh_type type, uint32_t text_width)
{
    switch (type) {
    case DH_U8:
        return H5Tcopy(H5T_STD_U8LE);
    case DH_U16:
        return H5Tcopy(H5T_STD_U16LE);
    case DH_U32:
        return H5Tcopy(H5T_STD_U32LE);
    case DH_U64:
        return H5Tcopy(H5T_STD_U64LE);
    case DH_I32:
        return H5Tcopy(H5T_STD_I32LE);
    case DH_I64:
        return H5Tcopy(H5T_STD_I64LE);
    case DH_F32:
        return H5Tcopy(H5T_IEEE_F32LE);
    case DH_F64:
        return H5Tcopy(H5T_IEEE_F64LE);
    case DH_TEXT:
    case DH_TYPE_COUNT:
        break;
    }
    return text_type(text_width);
}

uint64_t dh_h5_row_size(const dh_h5_array *array)
{
    uint64_t size = array->type == DH_TEXT ? array->text_width : dh_type_size(array->type);
    for (uint32_t d = 1; d < array->dim_count; d++) {
        size *= array->dims[d];
    }
    return size;
}

static hid_t array_properties(const dh_h5_array *array)
{
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    bool done = H5Pset_obj_track_times(create, 0) >= 0 && H5Pset_fill_time(create, H5D_FILL_TIME_NEVER) >= 0;
    if (array->chunk_rows > 0 && array->dims[0] > 0) {
        hsize_t chunk[DH_H5_DIMS_MAX] = {0};
        for (uint32_t d = 0; d < array->dim_count; d++) {
            chunk[d] = array->dims[d];
        }
        chunk[0] = array->chunk_rows < chunk[0] ? array->chunk_rows : chunk[0];
        done = done && H5Pset_chunk(create, (int)array->dim_count, chunk) >= 0 &&
               H5Pset_shuffle(create) >= 0 && H5Pset_deflate(create, array->deflate) >= 0;
    } else {
        done = done && H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY) >= 0;
    }
    if (!done) {
        (void)H5Pclose(create);
        return H5I_INVALID_HID;
    }
    return create;
}

dh_status dh_h5_array_create(dh_h5 *h5, const char *path, const dh_h5_array *array)
{
    hsize_t dims[DH_H5_DIMS_MAX] = {0};
    for (uint32_t d = 0; d < array->dim_count; d++) {
        dims[d] = array->dims[d];
    }
    const hid_t type = native_type(array->type, array->text_width);
    const hid_t space = H5Screate_simple((int)array->dim_count, dims, NULL);
    const hid_t create = array_properties(array);
    const hid_t dataset = H5Dcreate2(h5->file, path, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    (void)H5Pclose(create);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    if (dataset < 0) {
        return failed(h5, path, "create");
    }
    dh_status status =
        encoding(h5, dataset, path, array->type == DH_TEXT ? "string-array" : "array", "0.2.0");
    if (status == DH_OK) {
        status = attribute_text(h5, dataset, path, "description", array->description);
    }
    if (status == DH_OK) {
        status = attribute_text(h5, dataset, path, "unit", array->unit);
    }
    if (H5Dclose(dataset) < 0 && status == DH_OK) {
        status = failed(h5, path, "close");
    }
    return status;
}

static dh_status dataset_open(dh_h5 *h5, const char *path, hid_t *out)
{
    const hid_t dataset = H5Dopen2(h5->file, path, H5P_DEFAULT);
    if (dataset < 0) {
        return failed(h5, path, "open");
    }
    *out = dataset;
    return DH_OK;
}

dh_status dh_h5_array_write(dh_h5 *h5, const char *path, dh_type type, uint32_t text_width, const void *data)
{
    hid_t dataset = H5I_INVALID_HID;
    DH_TRY(dataset_open(h5, path, &dataset));
    const hid_t memory_type = native_type(type, text_width);
    const bool done = H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0;
    (void)H5Tclose(memory_type);
    const bool closed = H5Dclose(dataset) >= 0; /* small data is written only then */
    return done && closed ? DH_OK : failed(h5, path, "write");
}

dh_status dh_h5_text(dh_h5 *h5, const char *path, const char *text, size_t size, const char *description)
{
    const hid_t type = text_type(size > 0 ? size : 1);
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    (void)H5Pset_obj_track_times(create, 0);
    const hid_t dataset = H5Dcreate2(h5->file, path, type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    dh_status status = DH_OK;
    if (dataset < 0 || H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, size > 0 ? text : "") < 0) {
        status = failed(h5, path, "write");
    }
    if (status == DH_OK) {
        status = encoding(h5, dataset, path, "string", "0.2.0");
    }
    if (status == DH_OK) {
        status = attribute_text(h5, dataset, path, "description", description);
    }
    if (status == DH_OK) {
        status = attribute_text(h5, dataset, path, "unit", "1");
    }
    if (dataset >= 0 && H5Dclose(dataset) < 0 && status == DH_OK) { /* small data is written only then */
        status = failed(h5, path, "write");
    }
    (void)H5Pclose(create);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return status;
}

dh_status dh_h5_offset(dh_h5 *h5, const char *path, uint64_t *offset)
{
    hid_t dataset = H5I_INVALID_HID;
    DH_TRY(dataset_open(h5, path, &dataset));
    const hsize_t storage = H5Dget_storage_size(dataset);
    const haddr_t address = storage > 0 ? H5Dget_offset(dataset) : 0;
    (void)H5Dclose(dataset);
    if (address == HADDR_UNDEF) {
        return failed(h5, path, "find the place of");
    }
    *offset = address;
    return DH_OK;
}

dh_status dh_h5_chunk_write(dh_h5 *h5, const char *path, uint64_t row, const void *bytes, size_t size)
{
    hid_t dataset = H5I_INVALID_HID;
    DH_TRY(dataset_open(h5, path, &dataset));
    hsize_t offset[DH_H5_DIMS_MAX] = {row};
    const bool done = H5Dwrite_chunk(dataset, H5P_DEFAULT, 0, offset, size, bytes) >= 0;
    const bool closed = H5Dclose(dataset) >= 0;
    return done && closed ? DH_OK : failed(h5, path, "write a chunk of");
}

/* ---- reading ----------------------------------------------------------------------------------------- */

bool dh_h5_has(dh_h5 *h5, const char *path)
{
    /* Every group on the way must exist before H5Lexists may be asked for the next. */
    char *copy = strdup(path);
    bool has = copy != NULL;
    for (char *slash = copy != NULL ? strchr(copy, '/') : NULL; slash != NULL && has;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        has = copy[0] == '\0' || H5Lexists(h5->file, copy, H5P_DEFAULT) > 0;
        *slash = '/';
    }
    has = has && H5Lexists(h5->file, path, H5P_DEFAULT) > 0;
    free(copy);
    return has;
}

static dh_status type_of(dh_h5 *h5, const char *path, hid_t type, dh_h5_array *out)
{
    const size_t size = H5Tget_size(type);
    const bool is_signed = H5Tget_class(type) == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_2;
    if (H5Tget_class(type) == H5T_STRING && H5Tis_variable_str(type) == 0) {
        out->type = DH_TEXT;
        out->text_width = (uint32_t)size;
        return DH_OK;
    }
    if (H5Tget_class(type) == H5T_FLOAT && (size == 4 || size == 8)) {
        out->type = size == 4 ? DH_F32 : DH_F64;
        return DH_OK;
    }
    if (H5Tget_class(type) == H5T_INTEGER && is_signed && (size == 4 || size == 8)) {
        out->type = size == 4 ? DH_I32 : DH_I64;
        return DH_OK;
    }
    if (H5Tget_class(type) == H5T_INTEGER && !is_signed && size <= 8) {
        static const dh_type by_size[9] = {[1] = DH_U8, [2] = DH_U16, [4] = DH_U32, [8] = DH_U64};
        out->type = by_size[size];
        return DH_OK;
    }
    return mismatch(h5, path, "a type of data that dhatu does not write");
}

dh_status dh_h5_array_describe(dh_h5 *h5, const char *path, dh_h5_array *out)
{
    hid_t dataset = H5I_INVALID_HID;
    DH_TRY(dataset_open(h5, path, &dataset));
    const hid_t type = H5Dget_type(dataset);
    const hid_t space = H5Dget_space(dataset);
    const int rank = H5Sget_simple_extent_ndims(space);
    hsize_t dims[DH_H5_DIMS_MAX] = {0};
    *out = (dh_h5_array){0};
    dh_status status = DH_OK;
    if (rank < 0 || rank > DH_H5_DIMS_MAX || (rank > 0 && H5Sget_simple_extent_dims(space, dims, NULL) < 0)) {
        status = mismatch(h5, path, "more dimensions than dhatu writes");
    } else {
        out->dim_count = (uint32_t)rank;
        for (int d = 0; d < rank; d++) {
            out->dims[d] = dims[d];
        }
        status = type_of(h5, path, type, out);
    }
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    (void)H5Dclose(dataset);
    return status;
}

dh_status dh_h5_array_read(dh_h5 *h5, const char *path, uint64_t first_row, uint64_t rows, void *out)
{
    dh_h5_array array;
    DH_TRY(dh_h5_array_describe(h5, path, &array));
    const bool inside =
        array.dim_count > 0 && first_row <= array.dims[0] && rows <= array.dims[0] - first_row;
    if (!inside) {
        return mismatch(h5, path, "has fewer rows than expected");
    }
    if (rows == 0) {
        return DH_OK;
    }
    hid_t dataset = H5I_INVALID_HID;
    DH_TRY(dataset_open(h5, path, &dataset));
    hsize_t start[DH_H5_DIMS_MAX] = {first_row};
    hsize_t count[DH_H5_DIMS_MAX] = {rows};
    for (uint32_t d = 1; d < array.dim_count; d++) {
        count[d] = array.dims[d];
    }
    const hid_t type = native_type(array.type, array.text_width);
    const hid_t file_space = H5Dget_space(dataset);
    const hid_t memory_space = H5Screate_simple((int)array.dim_count, count, NULL);
    const bool done = H5Sselect_hyperslab(file_space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                      H5Dread(dataset, type, memory_space, file_space, H5P_DEFAULT, out) >= 0;
    const dh_status status = done ? DH_OK : failed(h5, path, "read");
    (void)H5Sclose(memory_space);
    (void)H5Sclose(file_space);
    (void)H5Tclose(type);
    (void)H5Dclose(dataset);
    return status;
}

dh_status dh_h5_text_read(dh_h5 *h5, const char *path, dh_buffer *out)
{
    dh_h5_array array;
    DH_TRY(dh_h5_array_describe(h5, path, &array));
    if (array.type != DH_TEXT || array.dim_count != 0) {
        return mismatch(h5, path, "is no scalar text");
    }
    DH_TRY(dh_buffer_reserve(out, (size_t)array.text_width + 1));
    hid_t dataset = H5I_INVALID_HID;
    DH_TRY(dataset_open(h5, path, &dataset));
    const hid_t type = text_type(array.text_width);
    char *place = (char *)out->data + out->size;
    const bool done = H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, place) >= 0;
    (void)H5Tclose(type);
    (void)H5Dclose(dataset);
    if (!done) {
        return failed(h5, path, "read");
    }
    place[array.text_width] = '\0';
    out->size += strlen(place);
    return DH_OK;
}

dh_status dh_h5_attribute_read(dh_h5 *h5, const char *path, const char *name, dh_buffer *out)
{
    out->size = 0;
    if (H5Aexists_by_name(h5->file, path, name, H5P_DEFAULT) > 0) {
        const hid_t attribute = H5Aopen_by_name(h5->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
        const hid_t type = attribute >= 0 ? H5Aget_type(attribute) : H5I_INVALID_HID;
        if (type >= 0 && H5Tis_variable_str(type) > 0) {
            char *text = NULL;
            if (H5Aread(attribute, type, &text) >= 0 && text != NULL) {
                (void)dh_buffer_printf(out, "%s", text);
                (void)H5free_memory(text);
            }
        }
        (void)H5Tclose(type);
        (void)H5Aclose(attribute);
    }
    DH_TRY(dh_buffer_append(out, "", 1));
    out->size--;
    return DH_OK;
}

typedef struct path_list {
    char **path;
    size_t count, capacity;
    dh_status status;
} path_list;

static herr_t list_object(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
    (void)root;
    path_list *list = context;
    if (info->type != H5O_TYPE_DATASET) {
        return 0;
    }
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity == 0 ? 64 : list->capacity * 2;
        void *memory = list->path;
        list->status = dh_reallocate(capacity, sizeof *list->path, "the list of datasets", &memory);
        if (list->status != DH_OK) {
            return -1;
        }
        list->path = memory;
        list->capacity = capacity;
    }
    list->path[list->count] = strdup(name);
    return list->path[list->count++] != NULL ? 0 : -1;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

dh_status dh_h5_visit(dh_h5 *h5, dh_h5_visitor *visit, void *context)
{
    path_list list = {0};
    dh_status status = DH_OK;
    if (H5Ovisit(h5->file, H5_INDEX_NAME, H5_ITER_INC, list_object, &list) < 0) {
        status = list.status != DH_OK ? list.status : failed(h5, "the datasets", "list");
    }
    if (list.count > 0) {
        qsort(list.path, list.count, sizeof *list.path, compare_paths);
    }
    for (size_t i = 0; i < list.count; i++) {
        if (status == DH_OK) {
            status = visit(context, list.path[i]);
        }
        free(list.path[i]);
    }
    free(list.path);
    return status;
}
